/**
 * The connections to one target. Free ones are reused last in, first out, so that the others grow old and are closed.
 *
 * Reuse has one race that cannot be won: the instance may close an idle connection just as we write to it. It is
 * avoided, not repaired: a free connection is closed after four seconds (Node's servers close theirs after five), or a
 * second before the moment the instance announced; and a request that may not be retried asks for one that was in use
 * within the last second.
 */
import type { Socket } from 'node:net'
import { Connection, type ConnectionOwner, forTraffic } from './instance-connection.ts'

export const IDLE_MAX_MS = 4_000
export const FREE_MAX = 64

export class Pool implements ConnectionOwner {
  readonly #now: () => number
  readonly #free: Connection[] = []
  readonly #all = new Set<Connection>()

  constructor(now: () => number) {
    this.#now = now
  }

  get size(): number {
    return this.#all.size
  }

  /** A free connection that was in use within `withinMs`; undefined when a fresh one has to be opened. */
  take(withinMs: number): Connection | undefined {
    const latest = this.#free.at(-1)
    if (!latest || this.#now() - latest.freeSinceMs > Math.min(withinMs, idleMs(latest))) return undefined
    this.#free.pop()
    return latest
  }

  adopt(socket: Socket): Connection {
    const connection = new Connection(forTraffic(socket), this)
    this.#all.add(connection)
    return connection
  }

  onFree(connection: Connection): void {
    if (this.#free.length >= FREE_MAX || idleMs(connection) <= 0) {
      connection.destroy()
      return
    }
    connection.freeSinceMs = this.#now()
    this.#free.push(connection)
  }

  onClosed(connection: Connection): void {
    this.#all.delete(connection)
    const at = this.#free.indexOf(connection)
    if (at !== -1) this.#free.splice(at, 1)
  }

  /** Closes free connections that have waited long enough. */
  trim(): void {
    if (this.#free.length === 0) return
    const now = this.#now()
    for (const connection of [...this.#free]) {
      if (now - connection.freeSinceMs >= idleMs(connection)) this.#discard(connection)
    }
  }

  /** Closes all free connections: when one of them broke, the others are probably broken too. */
  flush(): void {
    for (const connection of [...this.#free]) this.#discard(connection)
  }

  #discard(connection: Connection): void {
    this.#free.splice(this.#free.indexOf(connection), 1)
    connection.destroy()
  }
}

function idleMs(connection: Connection): number {
  const hintMs = connection.idleHintS === undefined ? IDLE_MAX_MS : connection.idleHintS * 1_000 - 1_000
  return Math.min(IDLE_MAX_MS, hintMs)
}
