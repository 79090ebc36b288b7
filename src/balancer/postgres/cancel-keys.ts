/**
 * Who may be cancelled by which key. A client gets its key from the door, not from the server, because its server may change.
 * The process number in it says which node's door has the session (the place of the node among the cluster's, in the highest
 * byte), so a request that comes to another door, which is what happens behind a list of hosts, is handed on there: once.
 */
import { randomBytes, timingSafeEqual } from 'node:crypto'
import { CONNECT_MS } from '../http/exchange.ts'
import { openSocket } from '../http/instance-connection.ts'
import { cancelPacket } from './startup-packet.ts'

const COUNTER_BITS = 24
/** A process number is a signed 32-bit integer for clients, and some take it for positive. */
const NODES_MAX = 127
/** A server closes the connection when it has passed the request on; nobody waits longer for it. */
const CLOSED_WITHIN_MS = 5_000

export interface Cancellable {
  /** Where its session is now, and the key of that server; undefined while it is on no server. */
  backend(): { readonly host: string; readonly port: number; readonly pid: number; readonly key: Buffer } | undefined
}

export interface ClientKey {
  readonly pid: number
  readonly key: Buffer
}

/** Of the nodes' addresses, in the order that all doors share, and our own. */
export interface Neighbours {
  readonly peers: readonly string[]
  readonly host: string
  readonly port: number
}

export class Cancels {
  readonly #sessions = new Map<number, { readonly key: Buffer; readonly session: Cancellable }>()
  #counter = 0

  /** A key that is this session's until `leave`. */
  enter(session: Cancellable, { peers, host }: Neighbours): ClientKey {
    const index = Math.min(Math.max(0, peers.indexOf(host)), NODES_MAX)
    let pid = 0
    do {
      this.#counter = (this.#counter + 1) % 2 ** COUNTER_BITS
      pid = index * 2 ** COUNTER_BITS + this.#counter
    } while (pid === 0 || this.#sessions.has(pid))
    const key = randomBytes(4)
    this.#sessions.set(pid, { key, session })
    return { pid, key }
  }

  leave({ pid }: ClientKey): void {
    this.#sessions.delete(pid)
  }

  /** Calls back when nothing more will come of it; whether it did anything is nobody's business who does not have the key. */
  cancel({ pid, key }: ClientKey, isHandedOn: boolean, { peers, host, port }: Neighbours, over: () => void): void {
    const peer = peers[Math.floor(pid / 2 ** COUNTER_BITS)]
    if (peer !== undefined && peer !== host) {
      if (isHandedOn) over()
      else send({ host: peer, port }, cancelPacket(pid, key, true), over)
      return
    }
    const found = this.#sessions.get(pid)
    const isMeant = found !== undefined && found.key.length === key.length && timingSafeEqual(found.key, key)
    const backend = isMeant ? found.session.backend() : undefined
    if (backend) send(backend, cancelPacket(backend.pid, backend.key, false), over)
    else over()
  }
}

function send(place: { readonly host: string; readonly port: number }, packet: Buffer, over: () => void): void {
  openSocket(place.host, place.port, CONNECT_MS, (socket) => {
    if (typeof socket === 'string') return over()
    socket.on('error', () => {}) // 'close' follows
    socket.on('close', over)
    socket.on('end', () => socket.end())
    socket.setTimeout(CLOSED_WITHIN_MS, () => socket.destroy())
    socket.resume()
    socket.write(packet)
  })
}
