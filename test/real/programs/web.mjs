// A little web server. /healthz says 200 and /promote 204, or what /be?status=N and /be?promote=N made them say
// (0: no answer at all). Each promotion is a line on stdout.
import { createServer } from 'node:http'

const says = { status: 200, promote: 204 }
const server = createServer((request, response) => {
  const url = new URL(request.url, 'http://localhost')
  if (url.pathname === '/be') {
    for (const [what, status] of url.searchParams) says[what] = Number(status)
    response.end()
  } else if (url.pathname === '/promote') {
    let body = ''
    request.on('data', (chunk) => {
      body += chunk
    })
    request.on('end', () => {
      console.log(`promoted ${body}`)
      if (says.promote !== 0) response.writeHead(says.promote).end()
    })
  } else if (says.status !== 0) {
    response.writeHead(says.status).end('web')
  }
})
server.listen(Number(process.env.PORT), process.env.HOST, () => {
  console.log(`listening ${process.env.UNDERSTUDY_ROLE} ${process.env.UNDERSTUDY_TERM}`)
})
