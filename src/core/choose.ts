/**
 * From problems to acts. At most one step for each service and never a second while one is under way: a step's outcome is
 * a new fact, and facts come before further steps. Nothing is ranked across services, so trouble with one never keeps
 * another from being repaired; only starts wait for one another (start-pace.ts). Killing what must not run does not wait for anything.
 */
import type { ServiceName } from './model.ts'
import { CLUSTER_STOPPED } from './problems/cluster-stopped.ts'
import type { Problem } from './problems/problem.ts'
import type { Rule } from './rule-names.ts'
import { missingSecretsIn } from './secrets.ts'
import { mayWait, placesToStart, takesPlace } from './start-pace.ts'
import { isUrgent, type Step, WHOLE_NODE } from './step.ts'
import type { View } from './view.ts'

export interface Act {
  readonly step: Step
  readonly rule: Rule
  readonly why: string
}

export function choose(problems: readonly Problem[], view: View): Act[] {
  const taken = new Set<ServiceName | null>()
  const acts: Act[] = []
  let places = placesToStart(view)
  for (const { rule, service, why, steps } of problems) {
    const [step] = steps
    if (!step || taken.has(service) || isBlocked(view, service, rule, step) || lacksSecret(view, step)) continue
    taken.add(service)
    if (takesPlace(step, rule) && --places < 0 && mayWait(step, rule)) continue
    acts.push({ step, rule, why })
  }
  return acts
}

const STARTS: ReadonlySet<Step['kind']> = new Set(['start', 'take-lead', 'create'])

/** A program without its secret would end at once, and again and again. */
function lacksSecret(view: View, step: Step): boolean {
  if (!STARTS.has(step.kind) || !('service' in step)) return false
  const service = view.cluster.services.find(({ name }) => name === step.service)
  if (service === undefined || missingSecretsIn(view, service).length === 0) return false
  return !service.traits.replicates || step.kind === 'create' // a database that is there has what it was made with
}

/**
 * Steps that end the server, or are a write that is over in a moment. A recruitment is over soon, too, and may be what makes a stale primary
 * harmless: that and an end would call each other off.
 */
const ENDS: ReadonlySet<Step['kind']> = new Set(['stop', 'kill', 'demote', 'record'])

function isBlocked(view: View, service: ServiceName | null, rule: string, step: Step): boolean {
  const busy = view.local.busy[service ?? WHOLE_NODE]
  if (busy === undefined) return false
  if (service === null) return step.kind !== 'exit'
  if (rule === 'two-writers') return busy.step === step.kind // under way, or in back-off after a failure
  const isReplicated = view.cluster.services.some(({ name, traits }) => name === service && traits.replicates)
  if (!isReplicated) return true
  // Whatever is under way ends with the server, and may wait for a node that has ended already. In back-off after a
  // failure there is no step, unless it may be called off at any time.
  if (rule === CLUSTER_STOPPED)
    return busy.step === null || ENDS.has(busy.step) || (busy.step === 'recruit' && !busy.backingOff)
  // A node that waits for a primary must be able to report that there is none any more; recruiting calls that wait off.
  if (step.kind === 'record') return busy.step !== 'follow'
  // A kill under way is over in a moment, and whatever calls it off would have to begin by killing: two urgent steps that
  // call each other off go round and round.
  return !isUrgent(step) || (busy.step === 'kill' && !busy.backingOff) || busy.step === step.kind
}
