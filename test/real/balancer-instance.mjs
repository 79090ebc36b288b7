// A little web instance for the balancer's tests. Notes each POST that reaches it in a file, before it answers.
// argv: name, port (0: any), file. Prints its port.
import { appendFileSync } from 'node:fs'
import { createServer } from 'node:http'

const [name, port, file] = process.argv.slice(2)
const server = createServer((request, response) => {
  let length = 0
  if (request.method === 'POST') appendFileSync(file, `${request.headers['x-number']}\n`)
  request.on('data', (chunk) => {
    length += chunk.length
  })
  request.on('end', () => {
    const delayMs = Number(new URL(request.url, 'http://x').searchParams.get('delay') ?? 0)
    setTimeout(() => response.end(`${name} ${request.method} ${length}\n`), delayMs)
  })
})
server.on('upgrade', (_request, socket, early) => {
  socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
  socket.write(early)
  socket.pipe(socket)
  socket.on('error', () => {}) // the test cuts connections on purpose
})
server.listen(Number(port), '127.0.0.1', () => console.log(server.address().port))
