// A web service that writes down every POST the moment it has it, so that a test can tell what reached it.
import { appendFileSync, mkdirSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'

const { PORT, HOST, DATA, UNDERSTUDY_NODE } = process.env
mkdirSync(DATA, { recursive: true })
const server = createServer((request, response) => {
  if (request.method === 'POST') appendFileSync(join(DATA, 'posts'), `${request.headers['x-id']} ${process.pid}\n`)
  request.resume()
  request.on('end', () => response.end(`${UNDERSTUDY_NODE} ${process.pid}\n`))
})
server.listen(Number(PORT), HOST)
process.on('SIGTERM', () => server.close(() => process.exit(0)))
