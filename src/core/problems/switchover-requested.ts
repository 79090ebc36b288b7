/**
 * The primary is to move on purpose: an operator asked for a switchover, or its node is drained. The primary ends its
 * instance in order and gives up the lead, naming its successor, which takes it as after any failover. Each turn
 * performs the one step that the state asks for, so a restarted agent goes on where it was. What can no longer be done
 * is called off while the old primary still leads.
 */
import { bestOther } from '../election.ts'
import type { NodeName, ServiceSpec } from '../model.ts'
import type { Rule } from '../rule-names.ts'
import { calledOff } from '../switchover-check.ts'
import { holdsLead, isDrained, leadOf, localInstance, recordOf, type View } from '../view.ts'
import { forEachUnreplicated, type Problem } from './problem.ts'

export const switchoverRequested = forEachUnreplicated((view, service) => {
  const { switchover } = recordOf(view, service.name)
  if (!switchover || !holdsLead(view, service.name)) return undefined
  const refusal = localInstance(view, service.name).state === 'running' ? calledOff(view, service) : undefined
  if (refusal === undefined) {
    return switchOver(
      view,
      service,
      'switchover-requested',
      switchover.to,
      `a switchover of ${service.name} to ${switchover.to} was asked for`,
    )
  }
  return {
    rule: 'switchover-called-off',
    service: service.name,
    evidence: 'first-hand',
    why: `the switchover of ${service.name} to ${switchover.to} is called off: ${refusal}`,
    steps: [{ kind: 'call-off', service: service.name, id: switchover.id }],
  }
})

export const primaryDrained = forEachUnreplicated((view, service) => {
  if (!isDrained(view, view.self) || !holdsLead(view, service.name)) return undefined
  const to = bestOther(view, service, view.self)
  if (to !== undefined) {
    return switchOver(view, service, 'node-drained', to, `${view.self} is drained: ${service.name} moves to ${to}`)
  }
  const why = `${view.self} is drained, but no other node can run the primary of ${service.name}: it stays`
  return { rule: 'node-drained', service: service.name, evidence: 'inferred', why, steps: [] }
})

function switchOver(view: View, { name }: ServiceSpec, rule: Rule, to: NodeName, why: string): Problem | undefined {
  const instance = localInstance(view, name)
  const found = (steps: Problem['steps']): Problem => ({ rule, service: name, evidence: 'first-hand', why, steps })
  if (!view.store.reachable) return found([]) // end nothing that could not be switched over
  if (instance.state !== 'stopped') return found([{ kind: 'stop', service: name }])
  const term = leadOf(view, name)?.term ?? 0
  if (instance.term !== term) return undefined // the lead is new here: let it start first
  const vacancy = { rule, why, by: view.self, noticedAt: view.wall, successor: to }
  return found([{ kind: 'give-up-lead', service: name, term, vacancy }])
}
