/**
 * One agent's way to the made-up store, behind the same port as every other store. Requests and answers travel over the
 * network and may be cut off on either leg; a change that is not answered in time may have happened.
 */

import { UnderstudyError } from '../errors.ts'
import { inBackground } from '../lib/background.ts'
import type { Clock } from '../lib/clock.ts'
import type { Stop } from '../lib/stop.ts'
import { PrefixWatch } from '../stores/prefix-watch.ts'
import type { Condition, LeaseId, Snapshot, Store, Watcher, Write } from '../stores/store.ts'
import type { Gate } from './gate.ts'
import type { Network } from './network.ts'
import type { Asked, StoreServer } from './store-server.ts'

export const STORE = 'store'

/** How long an answer is waited for. Shorter than a quarter of a lease: one lost renewal must leave time for another. */
const ANSWER_WITHIN_MS = 400
/** How often it looks whether the store is there when the store does not say anything. */
const LOOK_EVERY_MS = 250

export interface StoreHandleParts {
  readonly node: string
  readonly server: StoreServer
  readonly network: Network
  readonly gate: Gate
  /** The world's. */
  readonly clock: Clock
}

export class StoreHandle implements Store {
  readonly #parts: StoreHandleParts
  readonly #stops = new Set<Stop>()
  #closed = false

  constructor(parts: StoreHandleParts) {
    this.#parts = parts
  }

  read(_prefix: string): Promise<Snapshot> {
    const { server } = this.#parts
    return this.#ask({ changes: false, handle: () => server.read() })
  }

  swap(conditions: readonly Condition[], writes: readonly Write[]): Promise<'done' | 'conflict'> {
    const { server } = this.#parts
    return this.#ask({ changes: true, handle: (_map, now) => server.swap(conditions, writes, now) })
  }

  acquire(ttlMs: number): Promise<LeaseId> {
    return this.#ask({ changes: true, handle: (map, now) => map.acquire(ttlMs, now) })
  }

  async renew(lease: LeaseId): Promise<void> {
    const lives = await this.#ask({ changes: true, handle: (map, now) => map.renew(lease, now) })
    if (!lives) throw new UnderstudyError('UND_LEASE_LOST', `the lease ${lease} has ended`)
  }

  release(lease: LeaseId): Promise<void> {
    return this.#ask({ changes: true, handle: (map, now) => map.release(lease, now) })
  }

  watch(prefix: string, watcher: Watcher): Stop {
    const watch = new PrefixWatch(prefix, watcher)
    const { server, network, node, gate } = this.#parts
    let [looking, again, seen, stopped] = [false, false, -1, false]
    const look = () => {
      if (looking) again = true
      if (looking || stopped) return
      looking = true
      inBackground(
        this.read(prefix)
          .then(
            (snapshot) => {
              if (snapshot.revision !== seen || watch.isWaiting) watch.show(snapshot)
              seen = snapshot.revision
            },
            (error: Error) => watch.showAway(error),
          )
          .then(() => {
            looking = false
            if (again) look()
            again = false
          }),
        'a look into the store',
      )
    }
    const unsubscribe = server.subscribe(() => network.converse(STORE, node, () => gate.deliver(look)))
    const tick = () => {
      if (stopped) return
      look()
      gate.after(LOOK_EVERY_MS, tick)
    }
    tick()
    const stop = () => {
      stopped = true
      watch.stop()
      unsubscribe()
      this.#stops.delete(stop)
    }
    this.#stops.add(stop)
    return stop
  }

  async close(): Promise<void> {
    this.#closed = true
    this.letGo()
  }

  /** Its agent is gone: the server need not tell it anything more. */
  letGo(): void {
    for (const stop of [...this.#stops]) stop()
  }

  #ask<T>(asked: Asked<T>): Promise<T> {
    const { node, server, network, gate, clock } = this.#parts
    if (this.#closed) return Promise.reject(new UnderstudyError('UND_STORE_AWAY', 'this handle was closed'))
    return gate.promise<T>((resolve, reject) => {
      let open = true
      const settle = (how: () => void) => {
        if (!open) return
        open = false
        cancel()
        how()
      }
      const cancel = clock.after(ANSWER_WITHIN_MS, () => settle(() => reject(noAnswer(asked.changes))))
      network.converse(node, STORE, () =>
        server.take(asked, (answer) =>
          network.converse(STORE, node, () =>
            settle(() => ('error' in answer ? reject(answer.error) : resolve(answer.value))),
          ),
        ),
      )
    })
  }
}

function noAnswer(changes: boolean): UnderstudyError {
  const within = `no answer within ${ANSWER_WITHIN_MS} ms`
  return changes ? new UnderstudyError('UND_STORE_UNKNOWN', within) : new UnderstudyError('UND_STORE_AWAY', within)
}
