/**
 * A problem is a thing that can be wrong, with a name that events, docs and dashboards share. Each has a file of its
 * own: a finder that looks at a view from one node and says what is wrong there and what this node should do about it.
 * A finder speaks for its own node only: no node orders another about, and nothing waits for a coordinator.
 */
import type { ServiceSpec } from '../model.ts'
import type { ReportedProblem } from '../reported-problem.ts'
import type { Step } from '../step.ts'
import type { View } from '../view.ts'

export interface Problem extends ReportedProblem {
  /** What this node does about it, the next step only; empty when it can only wait or tell. */
  readonly steps: readonly Step[]
  /**
   * Which node reports it as an event. By default the node that finds it, when it begins to act on it or can only wait.
   * `by-actor`: only the node that acts; the others see the same and wait. `once`: all see it alike, one reports it.
   * `not`: the steps are reported and that is enough.
   */
  readonly told?: 'by-actor' | 'once' | 'not'
  /** Told only when it has stood for so long: what is seen through late reports may be over already. Default 0. */
  readonly tellAfterMs?: number
}

export type Finder = (view: View) => readonly Problem[]

/** What nearly every finder finds nearly every time. */
const NOTHING: readonly Problem[] = []

type FindIn = (view: View, service: ServiceSpec) => Problem | undefined

/** Lifts a question about one service to all services of the config. */
export function forEachService(find: FindIn): Finder {
  return (view) => {
    let found = NOTHING
    for (const service of view.cluster.services) {
      if (service.stopped) continue // service-stopped.ts alone looks at it
      const problem = find(view, service)
      if (problem) found = [...found, problem]
    }
    return found
  }
}

/** Only services whose standbys hold the data: their steps are decided in core/replicated/. */
export function forEachReplicated(find: FindIn): Finder {
  return forEachService((view, service) => (service.traits.replicates ? find(view, service) : undefined))
}

/** Only services whose instances know nothing of each other, and whose primary, if there is one, holds a lease. */
export function forEachUnreplicated(find: FindIn): Finder {
  return forEachService((view, service) => (service.traits.replicates ? undefined : find(view, service)))
}
