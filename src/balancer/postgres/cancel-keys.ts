/**
 * Which session a cancel key belongs to. A client gets its key from the balancer, not from the server, because its
 * server may change. With it goes the number of the server's process, as without a balancer: pg_cancel_backend takes
 * that, and a client knows its own notifications by it. The lowest bits of the key say which node's balancer has the
 * session (the place of the node among the cluster's), so a request that comes to another balancer, as behind a list of
 * hosts, is forwarded there: once.
 */
import { randomBytes } from 'node:crypto'
import { openSocket } from '../http/instance-connection.ts'
import { CONNECT_MS } from '../target.ts'
import { cancelPacket } from './startup-packet.ts'

/** A server closes the connection when it has passed the request on; waiting longer than this has no use. */
const CLOSED_WITHIN_MS = 5_000

export interface Cancellable {
  /** Where its session is now, and the key of that server; undefined while it is on no server. */
  backend(): { readonly host: string; readonly port: number; readonly pid: number; readonly key: Buffer } | undefined
}

export interface ClientKey {
  readonly pid: number
  readonly key: Buffer
}

/** Of the nodes' addresses, in the order that all balancers share, and our own. */
export interface Neighbours {
  readonly peers: readonly string[]
  readonly host: string
  readonly port: number
}

export class Cancels {
  readonly #sessions = new Map<string, Cancellable>()

  /** A key that is this session's until `leave`. `pid`: the process of its server at that time. */
  enter(session: Cancellable, pid: number, { peers, host }: Neighbours): ClientKey {
    const mask = maskFor(peers)
    for (;;) {
      const key = randomBytes(4)
      key.writeInt32BE((key.readInt32BE(0) & ~mask) | (Math.max(0, peers.indexOf(host)) & mask))
      if (this.#sessions.has(placeOf({ pid, key }))) continue
      this.#sessions.set(placeOf({ pid, key }), session)
      return { pid, key }
    }
  }

  leave(key: ClientKey): void {
    this.#sessions.delete(placeOf(key))
  }

  /** Calls back when it is finished; whether it did anything is not told, because the asker may not own the key. */
  cancel(given: ClientKey, isHandedOn: boolean, { peers, host, port }: Neighbours, over: () => void): void {
    const session = this.#sessions.get(placeOf(given))
    const backend = session?.backend()
    if (backend) return send(backend, cancelPacket(backend.pid, backend.key, false), over)
    const peer = given.key.length === 4 ? peers[given.key.readInt32BE(0) & maskFor(peers)] : undefined
    if (session || isHandedOn || peer === undefined || peer === host) over()
    else send({ host: peer, port }, cancelPacket(given.pid, given.key, true), over)
  }
}

/** As many of the lowest bits as it takes to number the nodes. */
function maskFor(peers: readonly string[]): number {
  return peers.length <= 1 ? 0 : 2 ** (32 - Math.clz32(peers.length - 1)) - 1
}

/** Looked up by a hash table, whose time says nothing of how much of a key was right. */
function placeOf({ pid, key }: ClientKey): string {
  return `${pid} ${key.toString('hex')}`
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

/** In a message: `own`, the number of the present server, and `known`, the one that the client knows, so that no other session is taken for it. */
export function exchange(buffer: Buffer, at: number, own: number | undefined, known: number | undefined): void {
  if (own === undefined || known === undefined || own === known || buffer.length < at + 4) return
  const pid = buffer.readInt32BE(at)
  if (pid === own || pid === known) buffer.writeInt32BE(pid === own ? known : own, at)
}
