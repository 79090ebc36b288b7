/**
 * Writes the quorum rows, and admits clients when the row of the config in force is durable. A row may wait for long
 * (for standbys that have to be cloned first), and a wait must not be given up: so it is a piece of work of its own,
 * which a verb may wait for or not, and which is tried again when its connection broke.
 */
import type pg from 'pg'
import { sameConfig } from '../../../core/replicated/quorum.ts'
import type { QuorumConfig } from '../../../core/replicated/quorum-config.ts'
import { UnderstudyError } from '../../../errors.ts'
import { backoffMs } from '../../../lib/backoff.ts'
import { sleep } from '../../../lib/clock.ts'
import type { Replica } from '../replica.ts'
import { destroy, within } from '../server/admin-session.ts'
import { openForQuorumRow, writeQuorumRow } from './promote-server.ts'

export class QuorumRows {
  readonly #replica: Replica
  readonly #written: () => void
  #ready: Promise<pg.Client> | undefined
  readonly #open: (replica: Replica) => Promise<pg.Client>
  #work: Work | undefined

  /** `open`: a connection to the own server. */
  constructor(replica: Replica, written: () => void, open = openForQuorumRow) {
    this.#replica = replica
    this.#written = written
    this.#open = open
  }

  /** Opens the connection for the next row ahead. */
  prepare(): void {
    this.#ready ??= this.#open(this.#replica)
    this.#ready.catch(() => {}) // the row gets the error, and tries again
  }

  /** Begins to write the row of `quorum`, unless that is under way already. */
  begin(quorum: QuorumConfig): void {
    if (this.#work && sameConfig(this.#work.quorum, quorum)) return
    this.#work?.controller.abort(superseded(quorum))
    const work = { quorum, controller: new AbortController(), done: Promise.resolve() }
    work.done = this.#write(work)
    work.done.catch(() => {}) // the error reaches the verb that waits
    this.#work = work
  }

  /** Begins, and resolves when the quorum has it; UND_TIMED_OUT after `withinMs`, and then it goes on being tried. */
  async write(quorum: QuorumConfig, withinMs: number, signal: AbortSignal): Promise<void> {
    this.begin(quorum)
    const { clock } = this.#replica.parts
    const settled = within(clock, withinMs, `the quorum row of term ${quorum.term}`, this.settled())
    await Promise.race([settled, aborted(signal)])
  }

  settled(): Promise<void> {
    return this.#work?.done ?? Promise.resolve()
  }

  stop(): void {
    this.#ready?.then(destroy, () => {}) // it never opened: there is nothing to close
    this.#ready = undefined
    this.#work?.controller.abort(new UnderstudyError('UND_REFUSED', 'the server does not lead any more'))
    this.#work = undefined
  }

  async #write({ quorum, controller: { signal } }: Work): Promise<void> {
    const { clock } = this.#replica.parts
    for (let failures = 1; ; failures += 1) {
      try {
        const opening = this.#ready ?? this.#open(this.#replica)
        this.#ready = undefined
        await writeQuorumRow(this.#replica, quorum, opening, signal)
        break
      } catch (error) {
        if (signal.aborted || !this.#replica.runs) throw error
        await sleep(clock, backoffMs(failures, AGAIN))
        if (signal.aborted || !this.#replica.runs) throw error
      }
    }
    if (signal.aborted) return
    this.#work = undefined
    this.#replica.durable = quorum
    this.#replica.writesWait = false // its quorum has just confirmed one
    this.#replica.reload() // clients may log in
    this.#written()
  }
}

/** Until a row is tried again whose connection broke or was refused: each try is a new process of the server. */
const AGAIN = { firstMs: 100, mostMs: 1_000 }

interface Work {
  readonly quorum: QuorumConfig
  readonly done: Promise<void>
  /** Aborted when no verb waits for this row any more: another one takes its place, or the server does not lead. */
  readonly controller: AbortController
}

/** The later row comes after the earlier one in the WAL: a standby that has it has both. */
function superseded({ term }: QuorumConfig): UnderstudyError {
  return new UnderstudyError('UND_REFUSED', `a later row of term ${term} takes the place of this one`)
}

/** Never resolves; rejects when the signal is given. */
function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason)
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}
