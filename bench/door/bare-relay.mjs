/**
 * The least that a door in Node can do: whatever one side sends is written to the other, and nothing looks at it. What this
 * costs more than PgBouncer is the price of Node; what the door costs more than this is the price of what it does.
 *
 *   node bench/door/bare-relay.mjs PORT PORT_OF_THE_SERVER
 */
import { connect, createServer } from 'node:net'

const [port, server] = process.argv.slice(2).map(Number)

createServer({ noDelay: true }, (client) => {
  const backend = connect({ host: '127.0.0.1', port: server, noDelay: true })
  join(client, backend)
  join(backend, client)
}).listen(port, '127.0.0.1')

function join(from, to) {
  from.on('data', (chunk) => {
    if (!to.write(chunk)) from.pause()
  })
  from.on('drain', () => to.resume())
  from.on('error', () => {}) // 'close' follows
  from.on('close', () => to.destroy())
}
