/**
 * Everything a node can be told to do, as data. A step names what is to be true afterwards, not how: performed twice it
 * does it once, because an agent that dies half way will be told again.
 */
import type { Role, ServiceName, Term, Vacancy } from './model.ts'

export type Step =
  /** Start an instance here. `term` is 0 for a role that leads nothing. */
  | { readonly kind: 'start'; readonly service: ServiceName; readonly role: Exclude<Role, 'none'>; readonly term: Term }
  /** Tell the running standby here that it leads now. */
  | { readonly kind: 'promote'; readonly service: ServiceName; readonly term: Term }
  /** Let it finish what it does, then end it. */
  | { readonly kind: 'stop'; readonly service: ServiceName }
  /** End it now, whatever it does. */
  | { readonly kind: 'kill'; readonly service: ServiceName }
  /** Take the free lead of `term`, provided that nobody wrote the record since `revision`. */
  | { readonly kind: 'take-lead'; readonly service: ServiceName; readonly term: Term; readonly revision: number }
  /** Free the lead: nothing of the old primary is left. */
  | { readonly kind: 'give-up-lead'; readonly service: ServiceName; readonly term: Term; readonly vacancy: Vacancy }
  /** Take a switchover off the record that cannot be done. */
  | { readonly kind: 'call-off'; readonly service: ServiceName; readonly id: string }
  /** End this agent: nothing runs here any more and nothing should. */
  | { readonly kind: 'exit' }

/** A step that cannot be taken back: the agent looks again before it is performed. */
export function isDangerous(step: Step): boolean {
  return step.kind !== 'start'
}

/** Two steps that would do the same thing. Vacancies are told apart by their rule, not by the clock in them. */
export function sameStep(a: Step, b: Step): boolean {
  if (a.kind !== b.kind) return false
  if (a.kind === 'exit' || b.kind === 'exit') return true
  if (a.service !== b.service) return false
  return !('term' in a && 'term' in b) || a.term === b.term
}
