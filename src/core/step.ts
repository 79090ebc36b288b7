/**
 * Everything a node can be told to do, as data. A step names what is to be true afterwards, not how: performed twice it
 * does it once, because an agent that dies half way will be told again.
 */

import type { Role, ServiceName, Term } from './model.ts'
import type { ConfigRecord, RolloutRecord, ServiceRecord, Vacancy } from './records.ts'
import { sameConfig } from './replicated/quorum.ts'
import type { QuorumConfig } from './replicated/quorum-config.ts'

export type Step =
  /** Start an instance here. `term` is 0 for a role that leads nothing. */
  | { readonly kind: 'start'; readonly service: ServiceName; readonly role: Exclude<Role, 'none'>; readonly term: Term }
  /** Tell the running standby here that it leads now. */
  | { readonly kind: 'promote'; readonly service: ServiceName; readonly term: Term }
  /**
   * Let it finish what it does, then end it. `drains`: it is wanted back at once, so it is not ended at all, and the step fails,
   * as long as it cannot be without harm to what clients have under way.
   */
  | { readonly kind: 'stop'; readonly service: ServiceName; readonly drains?: true }
  /** End it now, whatever it does. */
  | { readonly kind: 'kill'; readonly service: ServiceName }
  /** Take the free lead of `term`, provided that no node wrote the record since `revision`. */
  | { readonly kind: 'take-lead'; readonly service: ServiceName; readonly term: Term; readonly revision: number }
  /** Free the lead: nothing of the old primary is left. */
  | { readonly kind: 'give-up-lead'; readonly service: ServiceName; readonly term: Term; readonly vacancy: Vacancy }
  /** Take a switchover off the record that cannot be done. */
  | { readonly kind: 'call-off'; readonly service: ServiceName; readonly id: string }
  /** Write the record of a service, provided that no node did since `revision`. `what` says what that means. */
  | {
      readonly kind: 'record'
      readonly service: ServiceName
      readonly what: string
      readonly record: ServiceRecord
      readonly revision: number
    }
  /** Create the first replica out of nothing, as primary. */
  | { readonly kind: 'create'; readonly service: ServiceName; readonly quorum: QuorumConfig }
  /** Pledge `term`, stop receiving, and then report the position. */
  | { readonly kind: 'recruit'; readonly service: ServiceName; readonly term: Term }
  /** Become the primary of a recorded quorum, once recruited for its term. */
  | { readonly kind: 'promote-replica'; readonly service: ServiceName; readonly quorum: QuorumConfig }
  /** Follow the primary of a quorum. */
  | { readonly kind: 'follow'; readonly service: ServiceName; readonly quorum: QuorumConfig }
  /** Change to a recorded quorum of the present term. */
  | { readonly kind: 'change-quorum'; readonly service: ServiceName; readonly quorum: QuorumConfig }
  /** Acknowledge nothing more, and end. */
  | { readonly kind: 'demote'; readonly service: ServiceName; readonly term: Term }
  /** Write the record of a rolling change, provided that no one did since `revision`. */
  | {
      readonly kind: 'rollout'
      readonly service: ServiceName
      readonly what: string
      readonly record: RolloutRecord
      readonly revision: number
    }
  /** Give a service the last config in which it was another than `target`, because that failed. */
  | { readonly kind: 'roll-back'; readonly service: ServiceName; readonly target: string }
  /** Set aside what a removed service kept here, and look at it no more. */
  | { readonly kind: 'retire'; readonly service: ServiceName }
  /**
   * Write the config record, provided that no one did since `revision`, and delete the records of services that are gone. `given`: the
   * records of services by which it was decided, and their revisions; they must not have changed, either.
   */
  | {
      readonly kind: 'write-config'
      readonly what: string
      readonly record: ConfigRecord
      readonly revision: number
      readonly given: Readonly<Record<ServiceName, number>>
      readonly forgets: readonly ServiceName[]
    }
  /** End this agent: nothing runs here any more and nothing should. */
  | { readonly kind: 'exit' }

/** Names, among what is under way, a step that is about no service. */
export const WHOLE_NODE = ''

/** A step that cannot be taken back: the agent looks again before it is performed. */
export function isDangerous(step: Step): boolean {
  return step.kind !== 'start'
}

/** Two steps that would do the same thing. Vacancies are told apart by their rule, not by the clock in them. */
export function sameStep(a: Step, b: Step): boolean {
  if (a.kind !== b.kind) return false
  if (a.kind === 'exit' || b.kind === 'exit') return true
  if (a.kind === 'write-config' || b.kind === 'write-config')
    return a.kind === 'write-config' && b.kind === 'write-config' && a.revision === b.revision && a.what === b.what
  if (a.service !== b.service) return false
  if (a.kind === 'record' || b.kind === 'record') return sameRecord(a, b)
  if (a.kind === 'rollout' || b.kind === 'rollout')
    return a.kind === 'rollout' && b.kind === 'rollout' && a.revision === b.revision && a.what === b.what
  if ('quorum' in a && 'quorum' in b) return sameConfig(a.quorum, b.quorum)
  return !('term' in a && 'term' in b) || a.term === b.term
}

/** Sentences and ids carry the moment in them; what is written is the same when it has the same effect on the same record. */
function sameRecord(a: Step, b: Step): boolean {
  if (a.kind !== 'record' || b.kind !== 'record' || a.revision !== b.revision) return false
  const [one, other] = [a.record.replica, b.record.replica]
  const shape = (replica: typeof one) =>
    replica?.quorumConfigs.map(({ primary, standbys, k }) => [primary, standbys, k].join())
  return a.record.term === b.record.term && one?.phase === other?.phase && shape(one)?.join() === shape(other)?.join()
}

/** Which service it is about; null for what concerns the whole node. */
export function serviceOfStep(step: Step): ServiceName | null {
  return 'service' in step ? step.service : null
}

/** These call off whatever is under way for the service and do not wait for it: the safety of other nodes depends on them. */
export function isUrgent(step: Step): boolean {
  return step.kind === 'recruit' || step.kind === 'demote' || step.kind === 'kill'
}
