/**
 * Can writes be confirmed? A primary whose quorum is gone would let each write wait for ever. Reads are fine, so new
 * transactions are made read-only: clients get 25006 at once, as at a standby. What waits already goes on waiting: it
 * is acknowledged when the quorum is back, and nothing of it may be given up before (trap 8).
 *
 * This is a courtesy and no fence: a session may ask for a transaction that writes, and then that one waits.
 */
import type { QuorumConfig } from '../../../core/replicated/quorum-config.ts'
import type { Replica } from '../replica.ts'
import type { ServerLook } from '../server/observe-server.ts'

export class WriteRefusal {
  readonly #afterMs: number
  #missingSince: number | undefined

  /** `afterMs`: a hiccup is shorter than that. */
  constructor(afterMs: number) {
    this.#afterMs = afterMs
  }

  /**
   * Tells the server when it has changed. Before its quorum row is durable no client is admitted, so none needs the
   * courtesy; and the row that makes it durable has just been confirmed, whatever was seen before.
   */
  see(replica: Replica, sight: ServerLook): void {
    const quorum = replica.quorumDurable ? replica.record.leading : null
    const writesWait = !this.canBeHad(quorum, sight, replica.parts.clock.mono())
    if (writesWait === replica.writesWait) return
    replica.writesWait = writesWait
    replica.reload()
  }

  /** Can a write be confirmed, or may it soon again? `quorum`: of this primary; null: it is none. */
  canBeHad(quorum: QuorumConfig | null, sight: Pick<ServerLook, 'streaming'>, now: number): boolean {
    const streaming = quorum ? sight.streaming.filter(({ node }) => quorum.standbys.includes(node)).length : 0
    if (quorum === null || streaming >= quorum.k) {
      this.#missingSince = undefined
      return true
    }
    this.#missingSince ??= now
    return now - this.#missingSince < this.#afterMs
  }
}
