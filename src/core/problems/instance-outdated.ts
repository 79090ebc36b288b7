/**
 * An instance runs and not as the config says now: its environment is another one, its program was replaced, its settings need a
 * restart. It is replaced in its turn (rollout.ts says when that is). What starts the new one is what starts any instance that
 * is missing; a primary is switched over first, where there is another node to go to.
 */
import type { NodeName, ServiceSpec } from '../model.ts'
import type { RolloutRecord } from '../records.ts'
import { soundNodes } from '../redundancy-missing.ts'
import { isOnTrial, isOutdatedOn, mayGo, outdatedNodes, placedNodes, rolloutOf, updateOf } from '../rollout.ts'
import { missingSecretsIn } from '../secrets.ts'
import type { Revised } from '../store-facts.ts'
import { defaultSuccessor, switchoverRefusal } from '../switchover-check.ts'
import { hasLeader, isHealthy, leaderOf, localInstance, nodeState, recordOf, type View } from '../view.ts'
import { forEachService, type Problem } from './problem.ts'
import { found, without, write } from './rollout-steps.ts'
import { isFirst } from './service-end.ts'

export const instanceOutdated = forEachService((view, service) => {
  // What runs has its secrets; what would take its place could not be started.
  if (view.local.stopping || missingSecretsIn(view, service).length > 0) return undefined
  const rollout = rolloutOf(view, service)
  if (rollout.turns.includes(view.self)) return inTurn(view, service, rollout)
  return lostTurn(view, service, rollout) ?? provenHere(view, service, rollout) ?? waiting(view, service, rollout)
})

/** The turn is ours: end the old instance, wait for the new one, and hand the turn back or say that it failed. */
function inTurn(view: View, service: ServiceSpec, rollout: Revised<RolloutRecord>): Problem | undefined {
  if (isOutdatedOn(view, service, view.self)) return replace(view, service, rollout)
  const { name } = service
  const instance = localInstance(view, name)
  const over = { ...rollout, turns: without(rollout, view.self) }
  if (instance.failures > 0) return undefined // rollout-failed.ts says so
  if (provesItself(view, service)) {
    const why = `the new instance of ${name} on ${view.self} is healthy`
    const did = `${view.self} has replaced its instance of ${name}`
    return write(view, service, 'instance-outdated', { why, did }, { ...over, proven: true })
  }
  // Moved away meanwhile: nothing to wait for here.
  if (instance.state === 'stopped' && !belongsHere(view, service))
    return write(
      view,
      service,
      'instance-outdated',
      {
        why: `${name} does not belong on ${view.self} any more`,
        did: `the turn of ${view.self} to replace ${name} is over`,
      },
      over,
    )
  return waits(service, `${name} on ${view.self} was replaced and has to be healthy for a while`)
}

/** What is new runs here though no turn began it: a failover did, or it was never another. */
function provenHere(view: View, service: ServiceSpec, rollout: Revised<RolloutRecord>): Problem | undefined {
  const isNews = view.store.rollouts?.[service.name]?.target === rollout.target && isOnTrial(view, service)
  if (!isNews || !provesItself(view, service)) return undefined
  const why = `${service.name} on ${view.self} runs as the config says and has been healthy for a while`
  const did = `${service.name} has proven itself on ${view.self}`
  return write(view, service, 'instance-outdated', { why, did }, { ...rollout, proven: true })
}

function provesItself(view: View, service: ServiceSpec): boolean {
  const instance = localInstance(view, service.name)
  const isNew = instance.state === 'running' && instance.outdated === undefined && instance.failures === 0
  const isLong = isHealthy(instance) && instance.healthForMs >= updateOf(service).pauseMs
  return isNew && isLong && soundNodes(view, service).includes(view.self)
}

/** A primary that ends in order on its own node is started there again; its standbys give it a moment. */
function replace(view: View, service: ServiceSpec, rollout: Revised<RolloutRecord>): Problem | undefined {
  const { name } = service
  const { outdated } = localInstance(view, name)
  const givesBack = (why: string) => {
    const did = `${view.self} gives its turn to replace ${name} back`
    const over = { ...rollout, turns: without(rollout, view.self) }
    return write(view, service, 'instance-outdated', { why, did }, over)
  }
  // A turn that was taken for another config goes on with this one, where it is not the primary's place to be first.
  const isOfAnother = view.store.rollouts?.[name]?.target !== rollout.target
  if (isOfAnother && outdated?.needs === 'in-place' && outdatedNodes(view, service)[0] !== view.self)
    return givesBack(`${name} on ${view.self} waits for its turn again`)
  const why = `${name} on ${view.self} is replaced: ${outdated?.why}`
  // Without the store the turn may be over already: another node may believe that this one is lost.
  if (!view.store.reachable) return waits(service, `${why}, when the store is back`)
  if (!mustMove(view, service))
    return found(service, 'instance-outdated', why, [{ kind: 'stop', service: name, drains: true }])
  const to = successorOf(view, service, rollout.turns)
  if (to !== undefined) return move(view, service, rollout, to, why)
  if (recordOf(view, name).switchover) return undefined // it is called off or done first
  return givesBack(`${name} on ${view.self} stays for now: ${NO_SUCCESSOR}`)
}

/** A node that is lost does not hand its turn back. */
function lostTurn(view: View, service: ServiceSpec, rollout: Revised<RolloutRecord>): Problem | undefined {
  const lost = rollout.turns.find(
    (node) => nodeState(view, node) === 'lost' || view.cluster.nodes.every(({ name }) => name !== node),
  )
  if (lost === undefined || !isFirst(view, (node) => nodeState(view, node) === 'alive')) return undefined
  const said = { why: `${lost} is lost and was to replace ${service.name}`, did: `the turn of ${lost} is over` }
  return write(view, service, 'instance-outdated', said, {
    ...rollout,
    turns: without(rollout, lost),
  })
}

/** Ours is outdated and it is not our turn yet; or it is, and then we take it. */
function waiting(view: View, service: ServiceSpec, rollout: Revised<RolloutRecord>): Problem | undefined {
  if (rollout.failed || !isOutdatedOn(view, service, view.self)) return undefined
  const { name } = service
  const why = `${name} on ${view.self} is outdated: ${localInstance(view, name).outdated?.why}`
  const moves = mustMove(view, service)
  const to = moves ? successorOf(view, service, rollout.turns) : undefined
  const isCold = startsCold(service)
  if (isCold && to !== undefined && rollout.turns.includes(to)) return move(view, service, rollout, to, why)
  if (!view.store.reachable || !mayGo(view, service, view.self, rollout))
    return waits(service, `${why}; it waits for its turn`)
  if (moves && to === undefined) return waits(service, `${why}; ${NO_SUCCESSOR}`)
  // A cold standby proves itself only as the primary, so the turn is the successor's.
  const turn = isCold && to !== undefined ? to : view.self
  const did = `it is the turn of ${turn} to replace ${name}`
  return write(view, service, 'instance-outdated', { why, did }, { ...rollout, turns: [...rollout.turns, turn] })
}

const NO_SUCCESSOR = 'no other node can become primary now'

function startsCold(service: ServiceSpec): boolean {
  return hasLeader(service) && service.standby === 'cold' && !service.traits.replicates
}

/** A primary is never ended for a change where another node can lead: also not when that node is away at the moment. */
function mustMove(view: View, service: ServiceSpec): boolean {
  if (leaderOf(view, service)?.node !== view.self) return false
  if (localInstance(view, service.name).outdated?.needs === 'in-place') return false
  return service.instances > 1 || successorOf(view, service, []) !== undefined
}

/** The best node that can lead now and does not itself run what is outdated; before all others those that have a turn. */
function successorOf(view: View, service: ServiceSpec, turns: readonly NodeName[]): NodeName | undefined {
  const best = defaultSuccessor(view, service)
  const inOrder = [...turns, ...(best === undefined ? [] : [best]), ...view.cluster.nodes.map(({ name }) => name)]
  return inOrder.find((node) => !isOutdatedOn(view, service, node) && !switchoverRefusal(view, service, node))
}

function move(
  view: View,
  service: ServiceSpec,
  { target }: RolloutRecord,
  to: NodeName,
  why: string,
): Problem | undefined {
  const { name } = service
  const { switchover, revision, ...record } = recordOf(view, name)
  if (switchover || !view.store.reachable) return undefined // under way, or it cannot be asked for
  const what = `switchover of ${name} to ${to} requested`
  const next = { ...record, switchover: { id: `rollout-${target}-${record.term}`, to, requestedAt: view.wall } }
  return found(service, 'instance-outdated', `${why}; ${to} becomes primary first`, [
    { kind: 'record', service: name, what, record: next, revision },
  ])
}

function waits(service: ServiceSpec, why: string): Problem {
  return { ...found(service, 'instance-outdated', why, []), told: 'not' }
}

function belongsHere(view: View, service: ServiceSpec): boolean {
  if (!startsCold(service)) return placedNodes(view, service).includes(view.self)
  const lead = leaderOf(view, service)
  if (!lead || lead.node === view.self || recordOf(view, service.name).switchover?.to === view.self) return true
  // The primary moves here as soon as it sees that the turn is ours; unless it cannot, and then the turn is for another.
  return isOutdatedOn(view, service, lead.node) && switchoverRefusal(view, service, view.self) === undefined
}
