/**
 * What a driver can do in addition when its instances hold data. The verbs are idempotent like those of `Driver`; each
 * names what is to be true afterwards, so that an agent that dies half way can repeat it.
 */
import type { NodeName, Term } from '../core/model.ts'
import type { QuorumConfig } from '../core/replicated/quorum-config.ts'
import type { Driver } from './driver.ts'

export interface ReplicaDriver extends Driver {
  /**
   * Creates the first replica out of nothing and promotes it under `quorum`. Refuses when there is data already.
   * Resolves when it runs: standbys that have to be cloned from it cannot acknowledge its quorum row yet, so
   * `quorumDurable` becomes true later.
   */
  create(quorum: QuorumConfig): Promise<void>

  /**
   * Stands by under `quorum.primary`: follows, after rewinding or cloning when it has to, keeping what is discarded.
   * Refuses terms below its pledge. Resolves when it follows; progress is in the observation's note.
   */
  follow(quorum: QuorumConfig, primary: PrimaryAddress): Promise<void>

  /**
   * Pledges `term` durably, stops receiving, verifies that, and only then reports its position. A primary of a lower
   * term is ended and comes back without a receiver; a server that does not run is started like that. A replica without
   * data reports position null: it can pledge, and says nothing about what was acknowledged. Refused once it follows or
   * leads in `term`.
   */
  recruit(term: Term): Promise<void>

  /**
   * Becomes the primary of `quorum` after it was recruited for its term: the setting in force first, then promotion,
   * then the durable quorum row. Rejects with UND_TIMED_OUT when the quorum has not confirmed the row in time: it is
   * primary then, acknowledges nothing, and the row goes on being tried. Repeated it waits again. `start` as primary of
   * the same term is this verb with the quorum that it had.
   */
  promoteReplica(quorum: QuorumConfig): Promise<void>

  /**
   * Changes the quorum of a running primary, in steps of one standby or one count. Each step's row is durable under the
   * config before it, so a node that recruits enough standbys for an older config finds the newer one on one of them
   * (`ReplicaReport.quorum`) and must satisfy that, too.
   */
  changeQuorum(quorum: QuorumConfig): Promise<void>

  /**
   * Ends as primary: lets open transactions end, acknowledges nothing more, and stays down or recruited until told
   * which primary to follow. Until it has pledged `term` it may still reject, and then it goes on as before:
   * UND_TIMED_OUT when a transaction does not end in time. While it waits, its state is `stopping`, and balancers send
   * it nothing new.
   */
  demote(term: Term): Promise<void>
}

export interface PrimaryAddress {
  readonly node: NodeName
  readonly host: string
  readonly port: number
}
