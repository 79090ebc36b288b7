/**
 * What operators change while a made-up cluster runs: versions, services, nodes. Each goes the way of a real one: it reads the
 * config record through the store handle of a node whose agent answers, and writes the next one by compare-and-swap. What an
 * operator would be refused is not tried; what cannot get through is tried again for a while.
 */
import { KEY } from '../agent/agreed-records.ts'
import { nextRecord, writeConfig } from '../agent/config-store.ts'
import type { ClusterSpec, NodeName, ServiceName, ServiceSpec } from '../core/model.ts'
import type { ConfigRecord, ServiceWish } from '../core/records.ts'
import { defaultK } from '../core/replicated/quorum.ts'
import type { Revised } from '../core/store-facts.ts'
import { assertNever } from '../lib/assert.ts'
import type { ApplyKind, Fault } from './fault-schedule.ts'
import { madeUpCluster } from './made-up-cluster.ts'
import { FLAWS, flawOf, withEnv } from './made-up-version.ts'
import type { SimNode } from './sim-node.ts'
import type { World } from './sim-world.ts'

type Change = Extract<Fault, { kind: ApplyKind }>
/** Undefined: refused, as there is nothing to change or it must not be changed now. */
export type Edit = (spec: ClusterSpec, record: ConfigRecord) => ClusterSpec | undefined

const TRIES = 12
const AGAIN_MS = 300

/** The name of the service that is added. */
const ADDED = 'extra'

/** Returns what ends it; undefined when it lasts. */
export function change(world: World, fault: Change): (() => void) | undefined {
  const { node, service } = fault
  const edit = (what: Edit, on = node) => editConfig(world, what, on)
  switch (fault.kind) {
    case 'new version':
      return edit(inService(service, nextVersion(world)))
    case 'bad version':
      return edit(inService(service, badVersion(world)))
    case 'in-place change':
      return edit(inService(service, (one) => withEnv(one, { PLACE_LIMIT: String(world.nextVersion()) })))
    case 'two applies': {
      const other = [...world.nodes.keys()].find((name) => name !== node) ?? node
      const names = world.cluster.services.map(({ name }) => name)
      edit(inService(names[0] ?? service, nextVersion(world)))
      return edit(inService(names.at(-1) ?? service, nextVersion(world)), other)
    }
    case 'restart service':
      return wish(world, node, service, (one) => ({ ...one, restarts: one.restarts + 1 }))
    case 'stop service':
      wish(world, node, service, (one) => ({ ...one, stopped: { at: world.nowMs, by: 'operator' } }))
      return () => wish(world, node, service, ({ restarts }) => ({ restarts }))
    case 'add service':
      edit(adding(extraService(world)))
      return () => void edit((spec) => withoutService(spec, ADDED))
    case 'remove service': {
      const removed = world.wanted.services.find(({ name }) => name === service)
      if (!removed) return undefined
      edit((spec) => withoutService(spec, service))
      return () => void edit(adding(removed))
    }
    case 'take out node': {
      const { services } = world.wanted
      edit((spec, record) => withoutNode(spec, record, node))
      return () => void editConfig(world, (spec) => withNode(world, spec, node, services), node)
    }
    default:
      return assertNever(fault.kind)
  }
}

/** What an operator does about a version that has a flaw: it is replaced by one that has none. */
export function repair(world: World): void {
  const flawed = (spec: ClusterSpec) => spec.services.some((one) => flawOf(one) !== undefined)
  if (!flawed(world.wanted)) return
  const repaired = (one: ServiceSpec) => (flawOf(one) === undefined ? one : nextVersion(world)(one))
  const edit: Edit = (spec) => (flawed(spec) ? { ...spec, services: spec.services.map(repaired) } : undefined)
  editConfig(world, edit, [...world.nodes.keys()][0] ?? '')
}

export function nextVersion(world: World): (one: ServiceSpec) => ServiceSpec {
  return (one) => withEnv(one, { VERSION: String(world.nextVersion()), FLAW: undefined })
}

/** Of a cold single writer there is no second instance that could try it first. */
function badVersion(world: World): (one: ServiceSpec) => ServiceSpec {
  const flaw = FLAWS[Math.floor(world.random() * FLAWS.length)]
  const isCold = ({ redundancy, standby }: ServiceSpec) => redundancy === 'active-passive' && standby === 'cold'
  return (one) => (isCold(one) ? nextVersion(world)(one) : withEnv(nextVersion(world)(one), { FLAW: flaw }))
}

export function inService(name: ServiceName, next: (service: ServiceSpec) => ServiceSpec): Edit {
  return (spec) => {
    const services = spec.services.map((one) => (one.name === name ? next(one) : one))
    return spec.services.some((one) => one.name === name) ? { ...spec, services } : undefined
  }
}

function extraService(world: World): ServiceSpec {
  const { nodes } = world.wanted
  const made = madeUpCluster(nodes, [
    { name: ADDED, kind: 'http', redundancy: 'active-active', instances: Math.min(2, nodes.length), standby: 'cold' },
  ]).services[0] as ServiceSpec
  return { ...made, endpoints: made.endpoints.map((one) => ({ ...one, port: one.port + 500 })) }
}

/** Not while anything of one of this name is still being removed. */
export function adding(service: ServiceSpec): Edit {
  return (spec, { removed }) => {
    const isThere = [...spec.services, ...removed].some(({ name }) => name === service.name)
    return isThere ? undefined : { ...spec, services: [...spec.services, sizedFor(service, spec.nodes.length)] }
  }
}

export function withoutService(spec: ClusterSpec, name: ServiceName): ClusterSpec | undefined {
  const services = spec.services.filter((one) => one.name !== name)
  const isNeeded = services.some(({ needs }) => needs.includes(name))
  return isNeeded || services.length === 0 || services.length === spec.services.length
    ? undefined
    : { ...spec, services }
}

/** Two nodes at least stay, and one at a time leaves. */
export function withoutNode(spec: ClusterSpec, { leaving }: ConfigRecord, name: NodeName): ClusterSpec | undefined {
  const nodes = spec.nodes.filter((one) => one.name !== name)
  if (leaving.length > 0 || nodes.length < 2 || nodes.length === spec.nodes.length) return undefined
  return { ...spec, nodes, services: spec.services.map((one) => sizedFor(one, nodes.length)) }
}

export function withNode(
  world: World,
  spec: ClusterSpec,
  name: NodeName,
  sizes: readonly ServiceSpec[],
): ClusterSpec | undefined {
  const back = world.cluster.nodes.find((one) => one.name === name)
  if (!back || spec.nodes.some((one) => one.name === name)) return undefined
  const known = world.cluster.nodes.filter(
    (one) => one.name === name || spec.nodes.some((two) => two.name === one.name),
  )
  const services = spec.services.map((one) => {
    const instances = sizes.find((two) => two.name === one.name)?.instances ?? one.instances
    return resized(one, Math.min(instances, known.length))
  })
  return { ...spec, nodes: known, services }
}

function sizedFor(service: ServiceSpec, nodes: number): ServiceSpec {
  return service.instances <= nodes ? service : resized(service, nodes)
}

function resized(service: ServiceSpec, instances: number): ServiceSpec {
  const { replication } = service
  if (!replication) return { ...service, instances }
  const k = Math.min(replication.sync ?? defaultK(instances), instances - 1)
  return { ...service, instances, replication: { ...replication, k } }
}

/** Starts it; it goes on by itself. `on`: the node that is asked, or another when its agent does not answer. */
export function editConfig(world: World, edit: Edit, on: NodeName): undefined {
  insist(world, on, async ({ agent, store }, run) => {
    const entry = (await store.read(KEY.config)).entries.get(KEY.config)
    const found = entry && { ...(entry.value as ConfigRecord), revision: entry.revision }
    world.startAddedNodes() // also when an earlier try was done and its answer was lost
    const spec = found?.run === run ? edit(found.spec, found) : undefined
    if (!found || !spec) return
    const who = { run, at: world.clock.wall(), by: 'operator@made-up', message: '', version: 'made up' }
    const record = nextRecord(found satisfies Revised<ConfigRecord>, spec, who)
    if ((await writeConfig(store, found, record, null)) === 'conflict') throw new Error('another apply came first')
    world.applied += 1
    world.startAddedNodes()
    await agent.announce()
  })
  return undefined
}

export function wish(
  world: World,
  on: NodeName,
  service: ServiceName,
  next: (wish: ServiceWish) => ServiceWish,
): undefined {
  insist(world, on, async ({ agent, store }) => {
    const key = KEY.wish(service)
    const entry = (await store.read(key)).entries.get(key)
    if (world.wanted.services.every(({ name }) => name !== service)) return
    const value = next((entry?.value as ServiceWish | undefined) ?? { restarts: 0 })
    if ((await store.swap([{ key, revision: entry?.revision ?? 0 }], [{ key, value }])) === 'conflict')
      throw new Error('another wish came first')
    world.applied += 1
    await agent.announce()
  })
  return undefined
}

function insist(
  world: World,
  on: NodeName,
  work: (operator: NonNullable<SimNode['operator']>, run: string) => Promise<void>,
  tries = TRIES,
): void {
  const answers = [on, ...world.nodes.keys()].flatMap((name) => world.node(name).operator ?? [])
  const again = () => tries > 1 && world.clock.after(AGAIN_MS, () => insist(world, on, work, tries - 1))
  const [operator] = answers
  if (operator) work(operator, world.run).catch(again)
  else again()
}
