/**
 * Not all instances of a node start at once. A program costs most in its first second; a node that starts fifty on two cores
 * starves its own agent, which then renews no lease and hears no heartbeat. So only so many are starting at a time, and the
 * next one begins when one of them has been checked, or has had its second.
 *
 * A primary that was promised a term, and a replica of data, never wait for a place: clients wait for them. They take one all the
 * same. What waits is the first lead of a service that nothing has served yet: a lease that is taken has to be renewed, and a
 * node that takes ten of them and starts ten programs in one breath renews none.
 */
import type { InstanceReport, ServiceName } from './model.ts'
import type { Rule } from './rule-names.ts'
import type { Step } from './step.ts'
import type { View } from './view.ts'

/** For so long an instance that was not checked yet counts as starting. Judgement: a Node program is up in 0.1 s on a free core. */
const STARTING_MS = 1_500

/** Does it begin something that costs most in its first second? Taking the first lead of a service is followed by its start. */
export function takesPlace(step: Step, rule: Rule): boolean {
  return step.kind === 'start' || isFirstLead(step, rule)
}

export function mayWait(step: Step, rule: Rule): boolean {
  return (step.kind === 'start' && step.role !== 'primary') || isFirstLead(step, rule)
}

/** Of a service that was never led, or not since the cluster was stopped: any other vacancy has the name of a fault. */
function isFirstLead(step: Step, rule: Rule): boolean {
  return step.kind === 'take-lead' && rule === 'no-primary'
}

/** How many more instances may begin to start here now. */
export function placesToStart({ local }: View): number {
  if (local.startsAtOnce === undefined) return Number.POSITIVE_INFINITY
  const isBegun = (service: ServiceName) => local.busy[service]?.step === 'start' && !local.busy[service]?.backingOff
  const starting = Object.values(local.instances).filter((one) => isBegun(one.service) || isStarting(one))
  return Math.max(0, local.startsAtOnce - starting.length)
}

function isStarting({ state, health, stateForMs }: InstanceReport): boolean {
  return state === 'starting' || (state === 'running' && health === 'unknown' && stateForMs < STARTING_MS)
}
