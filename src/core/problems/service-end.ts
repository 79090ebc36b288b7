/** How one service ends on this node for good or until further notice: its instance first, then its lease. */
import type { NodeName, ServiceName } from '../model.ts'
import type { Vacancy } from '../records.ts'
import type { Rule } from '../rule-names.ts'
import { leadOf, localInstance, type View } from '../view.ts'
import type { Problem } from './problem.ts'

/** Undefined: nothing of it runs here, and this node does not hold its lease. `reason`: "the cluster is being stopped". */
export function endOf(view: View, service: ServiceName, rule: Rule, reason: string): Problem | undefined {
  const found = (why: string, steps: Problem['steps']): Problem => ({
    rule,
    service,
    evidence: 'first-hand',
    why,
    steps,
  })
  if (localInstance(view, service).state !== 'stopped')
    return found(`${service} ends on ${view.self}: ${reason}`, [{ kind: 'stop', service }])
  const lead = leadOf(view, service)
  if (lead?.node !== view.self || !view.store.reachable) return undefined
  const vacancy: Vacancy = { rule, why: reason, by: view.self, noticedAt: view.wall }
  return found(`${service} has ended on ${view.self}: its lease is given up`, [
    { kind: 'give-up-lead', service, term: lead.term, vacancy },
  ])
}

/** Who speaks and writes where all nodes see the same: the first that this node knows to be there. */
export function isFirst(view: View, alive: (node: NodeName) => boolean): boolean {
  return view.cluster.nodes.find(({ name }) => alive(name))?.name === view.self
}
