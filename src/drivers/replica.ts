/**
 * What a driver can do in addition when its instances hold copies of data. The verbs are idempotent like those of
 * `Driver`; each names what is to be true afterwards, so that an agent that dies half way can say it again.
 */
import type { NodeName, Term } from '../core/model.ts'
import type { Rule } from '../core/replica.ts'
import type { Driver } from './driver.ts'

export interface ReplicaDriver extends Driver {
  /** Makes the first copy out of nothing and leads under `rule`. Refuses when there is data already. */
  create(rule: Rule): Promise<void>

  /**
   * Stands by under `rule.primary`: follows, after rewinding or cloning when it has to, keeping what is thrown away.
   * Refuses terms below its pledge. Resolves when it follows; progress is in the observation's note.
   */
  follow(rule: Rule, primary: PrimaryAddress): Promise<void>

  /** Pledges `term` durably, stops receiving, verifies that, and only then reports its position. */
  fence(term: Term): Promise<void>

  /** Leads under `rule` after a fence of its term: the rule in force first, then promotion, then the durable mark. */
  lead(rule: Rule): Promise<void>

  /** Changes the rule of the primary that leads already, in an order that is safe at every step. */
  changeRule(rule: Rule): Promise<void>

  /** Ends leading: acknowledges nothing more, and stays down or fenced until told whom to follow. */
  demote(term: Term): Promise<void>
}

export interface PrimaryAddress {
  readonly node: NodeName
  readonly host: string
  readonly port: number
}
