/**
 * An instance runs and not as the config says now: its environment is another one, its program was replaced, its settings need a
 * restart. It is replaced in its turn (rollout.ts says when that is). What starts the new one is what starts any instance that
 * is missing; a primary is switched over first, where there is another node to go to.
 */
import type { ServiceSpec } from '../model.ts'
import type { RolloutRecord } from '../records.ts'
import { soundNodes } from '../redundancy-missing.ts'
import { isOutdatedOn, mayGo, placedNodes, rolloutOf, updateOf } from '../rollout.ts'
import type { Revised } from '../store-facts.ts'
import { defaultSuccessor, switchoverRefusal } from '../switchover-check.ts'
import { isWell, leaderOf, localInstance, nodeState, recordOf, type View } from '../view.ts'
import { forEachService, type Problem } from './problem.ts'
import { found, without, write } from './rollout-steps.ts'
import { isFirst } from './service-end.ts'

export const instanceOutdated = forEachService((view, service) => {
  if (view.local.stopping) return undefined
  const rollout = rolloutOf(view, service)
  if (rollout.turns.includes(view.self)) return inTurn(view, service, rollout)
  return lostTurn(view, service, rollout) ?? waiting(view, service, rollout)
})

/** The turn is ours: end the old instance, wait for the new one, and hand the turn back or say that it failed. */
function inTurn(view: View, service: ServiceSpec, rollout: Revised<RolloutRecord>): Problem | undefined {
  if (isOutdatedOn(view, service, view.self)) return replace(view, service, rollout)
  const { name } = service
  const instance = localInstance(view, name)
  const over = { ...rollout, turns: without(rollout, view.self) }
  if (instance.failures > 0) return undefined // rollout-failed.ts says so
  const isProven = isWell(instance) && instance.healthForMs >= updateOf(service).pauseMs
  if (isProven && soundNodes(view, service).includes(view.self))
    return write(view, service, 'instance-outdated', `the new instance of ${name} on ${view.self} is healthy`, over)
  // Moved away meanwhile: nothing to wait for here.
  if (instance.state === 'stopped' && !belongsHere(view, service))
    return write(view, service, 'instance-outdated', `${name} does not belong on ${view.self} any more`, over)
  return waits(service, `${name} on ${view.self} was replaced and has to be healthy for a while`)
}

/** A primary that ends in order on its own node is started there again; its standbys give it a moment. */
function replace(view: View, service: ServiceSpec, rollout: Revised<RolloutRecord>): Problem | undefined {
  const { name } = service
  const { outdated } = localInstance(view, name)
  const why = `${name} on ${view.self} is replaced: ${outdated?.why}`
  const mustMove =
    leaderOf(view, service)?.node === view.self && outdated?.needs !== 'in-place' && canMove(view, service)
  if (mustMove) return move(view, service, rollout, why)
  return found(service, 'instance-outdated', why, [{ kind: 'stop', service: name }])
}

/** A node that is lost does not hand its turn back. */
function lostTurn(view: View, service: ServiceSpec, rollout: Revised<RolloutRecord>): Problem | undefined {
  const lost = rollout.turns.find(
    (node) => nodeState(view, node) === 'lost' || view.cluster.nodes.every(({ name }) => name !== node),
  )
  if (lost === undefined || !isFirst(view, (node) => nodeState(view, node) === 'alive')) return undefined
  return write(view, service, 'instance-outdated', `${lost} is lost: its turn is over`, {
    ...rollout,
    turns: without(rollout, lost),
  })
}

/** Ours is outdated and it is not our turn yet; or it is, and then we take it. */
function waiting(view: View, service: ServiceSpec, rollout: Revised<RolloutRecord>): Problem | undefined {
  if (rollout.failed || !isOutdatedOn(view, service, view.self)) return undefined
  const { name } = service
  const { outdated } = localInstance(view, name)
  const why = `${name} on ${view.self} is outdated: ${outdated?.why}`
  const isPrimary = leaderOf(view, service)?.node === view.self
  const to = isPrimary && startsCold(service) ? defaultSuccessor(view, service) : undefined
  if (to !== undefined && rollout.turns.includes(to)) return move(view, service, rollout, why)
  if (!view.store.reachable || !mayGo(view, service, view.self, rollout))
    return waits(service, `${why}; it waits for its turn`)
  if (isPrimary && service.instances > 1 && outdated?.needs !== 'in-place' && !canMove(view, service))
    return waits(service, `${why}; no other node can become primary now`)
  // A cold standby proves itself only as the primary, so the turn is the successor's.
  const turns = [...rollout.turns, to ?? view.self]
  return write(view, service, 'instance-outdated', why, { ...rollout, turns })
}

function startsCold({ standby, traits }: ServiceSpec): boolean {
  return standby === 'cold' && !traits.replicates
}

function canMove(view: View, service: ServiceSpec): boolean {
  const to = defaultSuccessor(view, service)
  return to !== undefined && switchoverRefusal(view, service, to) === undefined
}

/** Asks for a switchover to a node that does not run what is outdated. */
function move(view: View, service: ServiceSpec, { target }: RolloutRecord, why: string): Problem | undefined {
  const { name } = service
  const to = defaultSuccessor(view, service)
  const { switchover, revision, ...record } = recordOf(view, name)
  if (switchover) return undefined // under way
  if (to === undefined || !canMove(view, service) || isOutdatedOn(view, service, to))
    return waits(service, `${why}; no other node can become primary now`)
  const what = `switchover of ${name} to ${to}: ${why}`
  const next = { ...record, switchover: { id: `rollout-${target}-${record.term}`, to, requestedAt: view.wall } }
  return found(service, 'instance-outdated', what, [{ kind: 'record', service: name, what, record: next, revision }])
}

function waits(service: ServiceSpec, why: string): Problem {
  return { ...found(service, 'instance-outdated', why, []), told: 'not' }
}

function belongsHere(view: View, service: ServiceSpec): boolean {
  const lead = leaderOf(view, service)
  // The primary moves here as soon as it sees that the turn is ours, and is then on its way.
  if (startsCold(service) && lead)
    return (
      lead.node === view.self ||
      isOutdatedOn(view, service, lead.node) ||
      recordOf(view, service.name).switchover?.to === view.self
    )
  return placedNodes(view, service).includes(view.self)
}
