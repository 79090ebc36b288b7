/**
 * What is left to do after a promotion. Clients rarely wait for any of it, so it begins when they have been served.
 *
 * A checkpoint writes and syncs everything that is dirty: begun at once it competes with the first transactions of all
 * clients. PostgreSQL makes one of its own after a promotion, slowly. Ours is for a replica that has to rewind: it can
 * begin when the primary's last checkpoint is of the new timeline (trap 21). Where that replica is the one that has to
 * confirm the first row, the primary waits for it, and it for this: so the time counts from when the row is written,
 * not from when it is durable.
 */
import type { Cancel } from '../../../lib/clock.ts'
import type { Replica } from '../replica.ts'
import { checkpoint, ensureSlots } from './promote-server.ts'

const CHECKPOINT_AFTER_MS = 1_000

export class PostPromotion {
  #cancel: Cancel = () => {}

  /** The quorum row is about to be written. */
  checkpointSoon(replica: Replica): void {
    this.stop()
    this.#cancel = replica.parts.clock.after(CHECKPOINT_AFTER_MS, () => {
      if (replica.runs && replica.record.leading) checkpoint(replica).catch(() => {}) // a replica that has to rewind asks for the result itself
    })
  }

  /** It leads. */
  keepSlots(replica: Replica): void {
    const standbys = replica.record.leading?.standbys ?? []
    ensureSlots(replica, standbys).catch(() => {}) // made on each change of quorum, and by each follower ahead of time
  }

  stop(): void {
    this.#cancel()
  }
}
