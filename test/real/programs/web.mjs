// A little web server. GET /healthz says 200, or what POST /be?status=N made it say (0: no answer at all);
// POST /promote takes over; everything that happens is a line on stdout.
import { createServer } from 'node:http'

let status = 200
const server = createServer((request, response) => {
  const url = new URL(request.url, 'http://localhost')
  if (url.pathname === '/be') {
    status = Number(url.searchParams.get('status'))
    response.end()
  } else if (url.pathname === '/promote') {
    let body = ''
    request.on('data', (chunk) => {
      body += chunk
    })
    request.on('end', () => {
      console.log(`promoted ${body}`)
      response.writeHead(Number(process.env.PROMOTE_STATUS ?? 204)).end()
    })
  } else if (status !== 0) {
    response.writeHead(status).end('web')
  }
})
server.listen(Number(process.env.PORT), process.env.HOST, () => {
  console.log(`listening ${process.env.UNDERSTUDY_ROLE} ${process.env.UNDERSTUDY_TERM}`)
})
