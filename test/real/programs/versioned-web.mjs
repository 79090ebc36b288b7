// A web service of which there are good and bad versions; VERSION says which this is, and each start is a line in DATA/starts.
//
//   crashes         ends soon after it was started, before it listens
//   never-healthy   answers everything but its health check
//   sours           is healthy for HEALTHY_MS, and then is not
import { appendFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'

const { PORT, HOST, DATA, VERSION, HEALTHY_MS = '5000', UNDERSTUDY_NODE, UNDERSTUDY_SERVICE } = process.env
appendFileSync(join(DATA, 'starts'), `${UNDERSTUDY_SERVICE} ${VERSION} ${UNDERSTUDY_NODE}\n`)
let healthy = VERSION !== 'never-healthy'
if (VERSION === 'sours') setTimeout(() => (healthy = false), Number(HEALTHY_MS))

const server = createServer((request, response) => {
  request.resume()
  const status = request.url === '/healthz' && !healthy ? 503 : 200
  request.on('end', () => response.writeHead(status).end(`${VERSION} ${UNDERSTUDY_NODE}\n`))
})
if (VERSION === 'crashes') setTimeout(() => process.exit(3), 50)
else server.listen(Number(PORT), HOST)
process.on('SIGTERM', () => server.close(() => process.exit(0)))
