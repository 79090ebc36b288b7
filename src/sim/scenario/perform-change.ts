/** Scenarios that change the config of a made-up cluster while it runs, and what they expect of that. */
import { formatDuration } from '../../lib/duration.ts'
import {
  adding,
  type Edit,
  editConfig,
  inService,
  wish,
  withNode,
  withoutNode,
  withoutService,
} from '../apply-changes.ts'
import { envOf, withEnv } from '../made-up-version.ts'
import type { World } from '../sim-world.ts'
import type { Command } from './language.ts'

const CHANGES = [
  'apply',
  'add node',
  'remove node',
  'add service',
  'remove service',
  'stop service',
  'start service',
] as const
type Change = Extract<Command, { do: (typeof CHANGES)[number] }>
type Expected = Extract<Command, { do: 'expect env' | 'expect roll-out stopped' }>

const ANSWERED_WITHIN_MS = 5_000

export function isChange(command: Command): command is Change {
  return CHANGES.includes(command.do as Change['do'])
}

/** Resolves to what became of it, as a sentence. */
export async function performChange(world: World, change: Change): Promise<string> {
  const before = world.applied
  begin(world, change)
  await world.clock.runUntil(world.nowMs + ANSWERED_WITHIN_MS, () => world.applied > before)
  if (world.applied === before) return 'not done within 5 s'
  return change.do.endsWith(' service') && change.do.startsWith('st')
    ? 'accepted'
    : `config ${world.configTruth.config?.number}`
}

export function restartService(world: World, service: string): void {
  wish(world, firstNode(world), service, (one) => ({ ...one, restarts: one.restarts + 1 }))
}

function begin(world: World, change: Change): void {
  const on = firstNode(world)
  const edit = (what: Edit) => editConfig(world, what, on)
  switch (change.do) {
    case 'apply': {
      const { service, how, value, flaw } = change
      const env = how === 'env' ? { VERSION: value, FLAW: flaw } : { PLACE_LIMIT: value }
      return edit(inService(service, (one) => withEnv(one, env)))
    }
    case 'add node':
      return edit((spec) => withNode(world, spec, change.node, world.cluster.services))
    case 'remove node':
      return edit((spec, record) => withoutNode(spec, record, change.node))
    case 'add service': {
      const known = world.cluster.services.find(({ name }) => name === change.service)
      return known && edit(adding(known))
    }
    case 'remove service':
      return edit((spec) => withoutService(spec, change.service))
    case 'stop service':
      return wish(world, on, change.service, (one) => ({ ...one, stopped: { at: world.nowMs, by: 'operator' } }))
    default:
      return wish(world, on, change.service, ({ restarts }) => ({ restarts }))
  }
}

function firstNode(world: World): string {
  return [...world.nodes.keys()][0] ?? ''
}

/** Waits for it. */
export async function expectVersion(
  world: World,
  expected: Expected,
): Promise<{ readonly isMet: boolean; readonly sentence: string }> {
  const from = world.nowMs
  const isMet = () => (expected.do === 'expect env' ? runs(world, expected) : hasStopped(world, expected.service))
  await world.clock.runUntil(from + expected.withinMs, isMet)
  const took = formatDuration(world.nowMs - from)
  const failed = world.configTruth.rolloutOf(expected.service)?.failed?.why
  if (expected.do === 'expect roll-out stopped')
    return { isMet: isMet(), sentence: isMet() ? `stopped after ${took}: ${failed}` : `not stopped after ${took}` }
  const said = versionsOf(world, expected.service).join(', ')
  return { isMet: isMet(), sentence: `${expected.service} after ${took}: ${said}` }
}

function versionsOf(world: World, service: string): string[] {
  return [...world.nodes.values()].flatMap((node) => {
    const process = node.processes.of(service)
    return process ? [`${node.name} env=${envOf(process.spec).VERSION ?? 'none'}`] : []
  })
}

/** As many as should, all of them healthy and of this version. */
function runs(world: World, { service, value }: Extract<Expected, { do: 'expect env' }>): boolean {
  const wanted = world.wanted.services.find(({ name }) => name === service)
  const nodes = [...world.nodes.values()].filter((node) => node.processes.of(service) !== undefined)
  const areThere =
    nodes.length >=
    (wanted?.standby === 'cold' && wanted.redundancy === 'active-passive' ? 1 : (wanted?.instances ?? 1))
  return (
    areThere &&
    nodes.every(({ processes }) => {
      const process = processes.of(service)
      return process && processes.isHealthy(process) && envOf(process.spec).VERSION === value
    })
  )
}

function hasStopped(world: World, service: string): boolean {
  return world.configTruth.rolloutOf(service)?.failed !== undefined
}
