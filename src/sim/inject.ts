/** Makes one fault happen in a world, and undoes it when its time is over. */
import { assertNever } from '../lib/assert.ts'
import { harmCopy, healCopy } from './database/harm.ts'
import type { CopyFaultKind, Fault } from './faults.ts'
import { FAIR, type Weather } from './network.ts'
import type { Habits } from './processes.ts'
import type { CopyFault } from './scenario/language.ts'
import { STORE } from './store-handle.ts'
import type { World } from './world.ts'

const FOUL: Weather = { leastMs: 0.2, mostMs: 60, lost: 0.15, doubled: 0.05, overtaking: 0.2 }
const SLOW_KILL_MS = 150

const HARMS: Readonly<Record<CopyFaultKind, CopyFault>> = {
  'pause replay': 'pause',
  'block replay': 'block',
  'slow replay': 'slow',
  'fill disk': 'fill',
  'cancel waits': 'cancel-waits',
}

type Of<Kind> = Fault extends infer One
  ? One extends { kind: infer Kinds }
    ? Kind extends Kinds
      ? One
      : never
    : never
  : never

export function inject(world: World, fault: Fault): void {
  world.tell(STORE, `fault: ${fault.kind} ${JSON.stringify(fault)}`)
  const undo = begin(world, fault)
  if (undo) world.clock.after(fault.forMs, undo)
}

/** Returns what ends it; undefined when it is over at once. */
function begin(world: World, fault: Fault): (() => void) | undefined {
  switch (fault.kind) {
    case 'kill process':
    case 'freeze process':
    case 'kill primary':
    case 'freeze primary':
      return hitProcess(world, fault)
    case 'unwell':
      return habit(world, fault, { unwell: true })
    case 'crash loop':
      return habit(world, fault, { crashAfterMs: 20 + Math.floor(world.random() * 400) })
    case 'refused':
      return habit(world, fault, { refused: true })
    case 'stubborn':
      return habit(world, fault, { stubborn: true })
    case 'slow kills':
      world.node(fault.node).processes.killWithinMs = SLOW_KILL_MS
      return () => {
        world.node(fault.node).processes.killWithinMs = 20
      }
    case 'kill agent':
      world.killAgent(fault.node)
      return undefined
    case 'freeze agent':
      world.node(fault.node).freezeAgent()
      return () => world.node(fault.node).thawAgent()
    case 'kill node':
      world.killNode(fault.node)
      return () => world.bootNode(fault.node)
    case 'kill fence':
      world.node(fault.node).fence.restartAfter(100)
      return undefined
    case 'jump clock':
      world.node(fault.node).clock.jumpWall(fault.byMs)
      return undefined
    case 'cut':
    case 'cut one way':
      world.cut(fault.from, fault.to, fault.kind === 'cut one way')
      return () => world.mend(fault.from, fault.to, fault.kind === 'cut one way')
    case 'cut off':
      return cutOff(world, fault.node)
    case 'store away':
      return storeIs(world, 'away')
    case 'store full':
      return storeIs(world, 'full')
    case 'store unsure':
      return storeIs(world, 'unsure')
    case 'store slow':
      world.store.slowMs = 150
      return () => {
        world.store.slowMs = 0
      }
    case 'bad weather':
      world.network.weather = FOUL
      return () => {
        world.network.weather = FAIR
      }
    case 'pause replay':
    case 'block replay':
    case 'slow replay':
    case 'fill disk':
    case 'cancel waits':
      return harm(world, fault)
    case 'drain':
    case 'switchover':
    case 'stop cluster':
      return ask(world, fault)
    default:
      return assertNever(fault)
  }
}

function harm(world: World, { kind, node, service }: Of<CopyFaultKind>): (() => void) | undefined {
  harmCopy(world, HARMS[kind], node, service)
  return kind === 'cancel waits' ? undefined : () => healCopy(world, node, service)
}

function hitProcess(
  world: World,
  fault: Of<'kill process'> | Of<'freeze process'> | Of<'kill primary'> | Of<'freeze primary'>,
): (() => void) | undefined {
  const process = 'node' in fault ? world.processOf(fault.service, fault.node) : world.primaryOf(fault.service)
  if (!process) return undefined
  const { processes } = world.node(process.node)
  if (fault.kind === 'kill process' || fault.kind === 'kill primary') {
    processes.kill(process)
    return undefined
  }
  processes.freeze(process)
  return () => processes.thaw(process)
}

function habit(world: World, { node, service }: { node: string; service: string }, bad: Partial<Habits>): () => void {
  const { processes } = world.node(node)
  const habits = processes.habitsOf(service)
  const good = { unwell: false, crashAfterMs: null, refused: false, stubborn: false }
  Object.assign(habits, bad)
  processes.followHabits(service)
  return () => {
    for (const name of Object.keys(bad) as (keyof typeof good)[]) Object.assign(habits, { [name]: good[name] })
    processes.followHabits(service)
  }
}

function cutOff(world: World, node: string): () => void {
  const others = [...world.nodes.keys(), STORE].filter((name) => name !== node)
  for (const other of others) world.cut(node, other)
  return () => {
    for (const other of others) world.mend(node, other)
  }
}

function storeIs(world: World, condition: 'away' | 'full' | 'unsure'): () => void {
  world.store.condition = condition
  return () => {
    if (world.store.condition === condition) world.store.condition = 'well'
  }
}

/** What a person asks, of whatever agent answers. A refusal is an answer like any other. */
function ask(world: World, fault: Fault & { kind: 'drain' | 'switchover' | 'stop cluster' }): (() => void) | undefined {
  const surface = [...world.nodes.values()].find((node) => node.surface !== null)?.surface
  const ignore = () => undefined
  if (fault.kind === 'switchover') {
    surface?.switchover({ service: fault.service, to: fault.to }).catch(ignore)
    return undefined
  }
  if (fault.kind === 'stop cluster') {
    world.wantStopped()
    surface?.stopCluster().catch(ignore)
    return () => world.start()
  }
  surface?.drain(fault.node, true).catch(ignore)
  return () => {
    const again = [...world.nodes.values()].find((node) => node.surface !== null)?.surface
    again?.drain(fault.node, false).catch(ignore)
  }
}
