/**
 * A new instance failed in its turn: it ended by itself or had to be ended. No other instance is replaced then, and where the
 * config asks for it the service gets the config before. Looked at before what repairs the service, which would be busy with the
 * new version for ever.
 */
import type { ServiceSpec } from '../model.ts'
import type { RolloutRecord } from '../records.ts'
import { isOnTrial, outdatedNodes, rolloutOf, targetOf, updateOf } from '../rollout.ts'
import type { Revised } from '../store-facts.ts'
import { localInstance, nodeState, type View } from '../view.ts'
import { forEachService, type Problem } from './problem.ts'
import { found, without, write } from './rollout-steps.ts'
import { isFirst } from './service-end.ts'

export const rolloutFailed = forEachService((view, service) => {
  if (view.local.stopping) return undefined
  const rollout = rolloutOf(view, service)
  return failedHere(view, service, rollout) ?? failed(view, service, rollout)
})

function failedHere(view: View, service: ServiceSpec, rollout: Revised<RolloutRecord>): Problem | undefined {
  const instance = localInstance(view, service.name)
  if (instance.failures === 0) return undefined
  // Its driver may still report what the service was before, and one that is being ended is no new one.
  const isNew = instance.outdated === undefined && [undefined, targetOf(service)].includes(instance.target)
  const isTried = rollout.turns.includes(view.self) || isOnTrial(view, service)
  if (!isTried || !isNew) return undefined
  const how = instance.note || instance.lastEnd || 'it ended'
  const why = `the new instance of ${service.name} on ${view.self} failed: ${how}`
  const next = { ...rollout, turns: without(rollout, view.self), failed: { node: view.self, why } }
  return write(
    view,
    service,
    'rollout-stopped',
    { why, did: `no further instance of ${service.name} is replaced` },
    next,
  )
}

function failed(view: View, service: ServiceSpec, rollout: RolloutRecord): Problem | undefined {
  if (!rollout.failed) return undefined
  const { name } = service
  const { why, noWayBack } = rollout.failed
  const goesBack = updateOf(service).onFailure === 'rollback' && !noWayBack && view.store.reachable
  if (goesBack && isFirst(view, (node) => nodeState(view, node) === 'alive')) {
    const steps = [{ kind: 'roll-back' as const, service: name, target: rollout.target }]
    return found(service, 'rollout-undone', `${name} goes back to the config before: ${why}`, steps)
  }
  const left = outdatedNodes(view, service)
  if (goesBack || left.length === 0) return undefined
  const stays = `${left.join(', ')} ${left.length === 1 ? 'runs' : 'run'} as before`
  return { ...found(service, 'rollout-stopped', `the roll-out of ${name} stopped, ${stays}: ${why}`, []), told: 'once' }
}
