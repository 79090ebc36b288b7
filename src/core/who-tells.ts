/**
 * Every node finds the same problems where it sees the same facts; each should be reported once. Which node reports is
 * part of the problem (`told`); this says whether it is this node's turn.
 */
import type { Decision } from './decide.ts'
import type { Problem } from './problems/problem.ts'
import { nodeState, type View } from './view.ts'

export function isToldBy(view: View, { acts }: Decision, problem: Problem): boolean {
  const isActedOn = acts.some(
    ({ rule, step }) => rule === problem.rule && 'service' in step && step.service === problem.service,
  )
  if (problem.told === 'not') return false
  if (problem.told === 'by-actor' || problem.steps.length > 0) return isActedOn
  if (problem.told !== 'once') return true
  return view.cluster.nodes.find(({ name }) => nodeState(view, name) === 'alive')?.name === view.self
}
