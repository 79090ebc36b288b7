/**
 * START HERE. What should this node do next? Reads a view, returns a decision. Nothing else happens here.
 *
 * Every agent runs this on every event and at least once a second, for its own node only. There is no leader that
 * orchestrates: the agents read the same facts from the store and from each other, and each does its own part. Where only
 * one may act, the store's compare-and-swap says who.
 *
 *     observe ──▶ view ──▶ problems (one file each) ──▶ choose ──▶ acts ──▶ performed by the agent, told to the others
 */
import { type Act, choose } from './choose.ts'
import { FINDERS } from './problems/index.ts'
import type { Problem } from './problems/problem.ts'
import { nodeState, type View } from './view.ts'

export interface Decision {
  /** Everything that is wrong as seen from here, most urgent first, also where nothing can be done about it. */
  readonly problems: readonly Problem[]
  /** What to do now: at most one step for each service. */
  readonly acts: readonly Act[]
}

export function decide(view: View): Decision {
  const problems: Problem[] = []
  for (const find of FINDERS) for (const problem of find(view)) problems.push(problem)
  return { problems, acts: choose(problems, view) }
}

/**
 * Every node finds the same problems where it sees the same facts; each should be reported once. Which node reports is
 * part of the problem (`told`); this says whether it is this node's turn.
 */
export function isToldBy(view: View, { acts }: Decision, problem: Problem): boolean {
  const isActedOn = acts.some(
    ({ rule, step }) => rule === problem.rule && 'service' in step && step.service === problem.service,
  )
  if (problem.told === 'not') return false
  if (problem.told === 'by-actor' || problem.steps.length > 0) return isActedOn
  if (problem.told !== 'once') return true
  return view.cluster.nodes.find(({ name }) => nodeState(view, name) === 'alive')?.name === view.self
}
