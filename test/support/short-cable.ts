/**
 * A way to a server on which only so many bytes come back: after that it stays open and is silent, as when the other side was
 * cut off without a word.
 */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

export class ShortCable {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  /** Of all that the server ever said, on all connections. */
  #bytesLeft: number
  isUsedUp = false

  private constructor(server: Server, bytes: number) {
    this.#server = server
    this.#bytesLeft = bytes
  }

  static async to(port: number, bytes: number): Promise<ShortCable> {
    const server = createServer()
    const cable = new ShortCable(server, bytes)
    server.on('connection', (client) => cable.#join(client, connect(port, '127.0.0.1')))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return cable
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  cut(): void {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
  }

  #join(client: Socket, server: Socket): void {
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(socket)
      socket.on('error', () => {}) // 'close' follows
      socket.on('close', () => {
        this.#sockets.delete(socket)
        other.destroy()
      })
    }
    client.pipe(server)
    server.on('data', (chunk: Buffer) => {
      const passed = chunk.subarray(0, this.#bytesLeft)
      this.#bytesLeft -= passed.length
      if (!client.write(passed)) {
        server.pause()
        client.once('drain', () => server.resume())
      }
      if (this.#bytesLeft > 0) return
      this.isUsedUp = true
      server.pause()
    })
  }
}
