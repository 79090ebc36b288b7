/**
 * What a driver can do in addition when its instances hold copies of data. The verbs are idempotent like those of
 * `Driver`; each names what is to be true afterwards, so that an agent that dies half way can say it again.
 */
import type { NodeName, Term } from '../core/model.ts'
import type { QuorumConfig } from '../core/replicated/quorum-config.ts'
import type { Driver } from './driver.ts'

export interface ReplicaDriver extends Driver {
  /**
   * Makes the first copy out of nothing and leads under `rule`. Refuses when there is data already. Resolves when it runs:
   * members that have to be cloned from it first cannot acknowledge its mark yet, so `ruleDurable` becomes true later.
   */
  create(quorum: QuorumConfig): Promise<void>

  /**
   * Stands by under `rule.primary`: follows, after rewinding or cloning when it has to, keeping what is thrown away.
   * Refuses terms below its pledge. Resolves when it follows; progress is in the observation's note.
   */
  follow(quorum: QuorumConfig, primary: PrimaryAddress): Promise<void>

  /**
   * Pledges `term` durably, stops receiving, verifies that, and only then reports its position. A primary of a lower term is
   * ended and comes back receiving from nobody; one that does not run is started like that. A member without data reports
   * position null: it can pledge, and says nothing about what was acknowledged. Refused once it follows or leads in `term`.
   */
  recruit(term: Term): Promise<void>

  /**
   * Leads under `rule` after a fence of its term: the rule in force first, then promotion, then the durable mark. Rejects with
   * UND_TIMED_OUT when the quorum has not got the mark in time: it leads then, acknowledges nothing, and the mark goes on
   * being tried. Said again it waits again. `start` as primary of the same term is this verb with the rule that it had.
   */
  promoteReplica(quorum: QuorumConfig): Promise<void>

  /**
   * Changes the rule of the primary that leads already, in steps of one member or one count. Each step's row is durable
   * under the rule before it, so whoever fences enough members for an older rule finds the newer one on one of them
   * (`ReplicaReport.rule`) and must satisfy that, too.
   */
  changeQuorum(quorum: QuorumConfig): Promise<void>

  /**
   * Ends leading: lets open transactions end, acknowledges nothing more, and stays down or fenced until told whom to follow.
   * Until it has pledged `term` it may still reject, and then it leads on as before: UND_TIMED_OUT when a transaction does not
   * end in time. While it waits, its state is `stopping`, and balancers give it nothing new.
   */
  demote(term: Term): Promise<void>
}

export interface PrimaryAddress {
  readonly node: NodeName
  readonly host: string
  readonly port: number
}
