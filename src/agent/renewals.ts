/** What became of the renewals of one lease, so that a writer that is killed for want of one can be told why. */
import { formatDuration } from '../lib/duration.ts'

/** A timer that is this late was kept from running: by other work of this process, or by a machine that had no time. */
const LATE_MS = 100

export class Renewals {
  /** When the lease was last known to be renewed, on the monotonic clock. */
  #goodSince: number
  #dueAt: number
  #askedAt: number | undefined
  #failure = ''
  #unguarded = ''

  constructor(now: number) {
    this.#goodSince = now
    this.#dueAt = now
  }

  /** The next one is due then. */
  due(at: number): void {
    this.#dueAt = at
  }

  asked(now: number): void {
    this.#askedAt = now
  }

  /** The store has renewed it. */
  renewed(sentAt: number): void {
    this.#goodSince = sentAt
    this.#askedAt = undefined
    this.#failure = ''
    this.#unguarded = ''
  }

  /** The store did not renew it; or it did, and the fence did not take the later deadline. */
  failed(error: Error): void {
    if (this.#askedAt === undefined) this.#unguarded = error.message
    else this.#failure = error.message
    this.#askedAt = undefined
  }

  /** Why the lease was not longer at `now`; a sentence without a capital letter or a full stop. */
  why(now: number): string {
    const since = `last renewed ${formatDuration(now - this.#goodSince)} ago`
    if (this.#unguarded !== '') return `${since}, but the fence did not take the new deadline: ${this.#unguarded}`
    if (this.#askedAt !== undefined) {
      const waited = formatDuration(now - this.#askedAt)
      return `${since}; the store has not answered a renewal for ${waited}`
    }
    if (this.#failure !== '') return `${since}; the last renewal failed: ${this.#failure}`
    if (now - this.#dueAt > LATE_MS)
      return `${since}; the agent was ${formatDuration(now - this.#dueAt)} late to ask for the next renewal`
    return since
  }
}
