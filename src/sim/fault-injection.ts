/** Makes one fault happen in a world, and undoes it when its time is over. */
import { assertNever } from '../lib/assert.ts'
import { change } from './apply-changes.ts'
import { letIn } from './database/foreign-clients.ts'
import { harmCopy } from './database/replica-faults.ts'
import { APPLY_KINDS, type ApplyKind, type CopyFaultKind, type Fault } from './fault-schedule.ts'
import { FAIR, type Weather } from './network.ts'
import type { CopyFault } from './scenario/language.ts'
import type { Habits, Process } from './sim-processes.ts'
import type { World } from './sim-world.ts'
import { STORE } from './store-handle.ts'

const FOUL: Weather = { leastMs: 0.2, mostMs: 60, lost: 0.15, doubled: 0.05, overtaking: 0.2 }
const SLOW_KILL_MS = 150

const HARMS: Readonly<Record<CopyFaultKind, CopyFault>> = {
  'pause replay': 'pause',
  'block replay': 'block',
  'slow replay': 'slow',
  'slow disk': 'slow-disk',
  'cancel waits': 'cancel-waits',
  'stuck receiver': 'stuck-receiver',
  'late receiver': 'late-receiver',
  'slow checkpoint': 'slow-checkpoint',
  'failing rewind': 'failing-rewind',
  'open transaction': 'transaction',
  'foreign log': 'foreign-log',
  'hasty start': 'hasty-start',
  'lost log': 'lost-log',
  'broken stream': 'broken-stream',
  'half-open stream': 'half-open-stream',
}

type Of<Kind> = Fault extends infer One
  ? One extends { kind: infer Kinds }
    ? Kind extends Kinds
      ? One
      : never
    : never
  : never

export function inject(world: World, fault: Fault): void {
  world.faults.set(fault.kind, (world.faults.get(fault.kind) ?? 0) + 1)
  world.tell(STORE, `fault: ${fault.kind} ${JSON.stringify(fault)}`)
  const undo = begin(world, fault)
  if (undo) world.clock.after(fault.forMs, undo)
}

function isOfCopy(fault: Fault): fault is Extract<Fault, { kind: CopyFaultKind }> {
  return fault.kind in HARMS
}

function isChange(fault: Fault): fault is Extract<Fault, { kind: ApplyKind }> {
  return APPLY_KINDS.includes(fault.kind as ApplyKind)
}

/** Returns what ends it; undefined when it is over at once. */
function begin(world: World, fault: Fault): (() => void) | undefined {
  if (isOfCopy(fault)) return harmCopy(world, HARMS[fault.kind], fault.node, fault.service) ?? undefined
  if (isChange(fault)) return change(world, fault)
  switch (fault.kind) {
    case 'kill process':
    case 'freeze process':
      return hitProcess(world, fault, world.processOf(fault.service, fault.node))
    case 'kill primary':
    case 'freeze primary':
      return hitProcess(world, fault, world.primaryOf(fault.service))
    case 'unhealthy':
    case 'crash loop':
    case 'refused':
    case 'stubborn':
      return habit(world, fault, habitFor(world, fault.kind))
    case 'kill agent':
    case 'freeze agent':
    case 'pause agent':
    case 'kill node':
    case 'kill fence':
    case 'kill agent and fence':
    case 'jump clock':
    case 'slow kills':
    case 'dying link':
    case 'fill disk':
    case 'cut off':
      return hitNode(world, fault)
    case 'cut':
    case 'cut one way':
      world.cut(fault.from, fault.to, fault.kind === 'cut one way')
      return () => world.mend(fault.from, fault.to, fault.kind === 'cut one way')
    case 'slow link':
      return slowLink(world, fault.from, fault.to)
    case 'store away':
    case 'store full':
    case 'store unsure':
      return storeIs(world, fault.kind)
    case 'store slow':
      return slowStore(world)
    case 'bad weather':
      return badWeather(world)
    case 'impostor':
    case 'hasty writer':
    case 'standby reader':
    case 'stale reader':
      return letIn(world, fault)
    case 'drain':
    case 'switchover':
    case 'stop cluster':
      return ask(world, fault)
    default:
      return assertNever(fault)
  }
}

type NodeFaultKind = 'kill agent' | 'freeze agent' | 'pause agent' | 'kill node' | 'kill fence' | 'kill agent and fence'
type NodeFault = Extract<
  Fault,
  { kind: NodeFaultKind | 'jump clock' | 'slow kills' | 'dying link' | 'fill disk' | 'cut off' }
>

function hitNode(world: World, fault: NodeFault): (() => void) | undefined {
  const { node } = fault
  switch (fault.kind) {
    case 'kill agent':
      world.killAgent(node)
      return undefined
    case 'freeze agent':
    case 'pause agent':
      world.node(node).freezeAgent()
      return () => world.node(node).thawAgent()
    case 'kill node':
      world.killNode(node)
      return () => world.bootNode(node)
    case 'kill fence':
      world.node(node).fence.die()
      return undefined
    case 'kill agent and fence':
      world.killAgent(node, true)
      world.node(node).fence.die()
      return () => world.startAgent(node)
    case 'jump clock':
      world.node(node).clock.jumpWall(fault.byMs)
      return undefined
    case 'slow kills':
      return slowKills(world, node)
    case 'dying link':
      return dyingLink(world, node)
    case 'fill disk':
      return fillDisk(world, node)
    case 'cut off':
      return cutOff(world, node)
    default:
      return assertNever(fault)
  }
}

function slowKills(world: World, node: string): () => void {
  const { processes } = world.node(node)
  processes.killWithinMs = SLOW_KILL_MS
  return () => {
    processes.killWithinMs = 20
  }
}

function hitProcess(
  world: World,
  fault: Of<'kill process'> | Of<'kill primary'>,
  process: Process | undefined,
): (() => void) | undefined {
  if (!process) return undefined
  const { processes } = world.node(process.node)
  if (fault.kind === 'kill process' || fault.kind === 'kill primary') {
    processes.kill(process)
    return undefined
  }
  processes.freeze(process)
  return () => processes.thaw(process)
}

function habitFor(world: World, kind: 'unhealthy' | 'crash loop' | 'refused' | 'stubborn'): Partial<Habits> {
  return kind === 'crash loop' ? { crashAfterMs: 20 + Math.floor(world.random() * 400) } : { [kind]: true }
}

function habit(world: World, { node, service }: { node: string; service: string }, bad: Partial<Habits>): () => void {
  const { processes } = world.node(node)
  const habits = processes.habitsOf(service)
  const good = { unhealthy: false, crashAfterMs: null, refused: false, stubborn: false }
  Object.assign(habits, bad)
  processes.followHabits(service)
  return () => {
    for (const name of Object.keys(bad) as (keyof typeof good)[]) Object.assign(habits, { [name]: good[name] })
    processes.followHabits(service)
  }
}

/** What the store answers comes ever so late for a second, and then the node does not reach it any more. */
function dyingLink(world: World, node: string): () => void {
  world.network.lag(STORE, node, 200 + 180 * world.random())
  let over = false
  world.clock.after(1_000 + 500 * world.random(), () => {
    if (!over) world.cut(node, STORE)
    if (!over) world.clock.after(3_000, () => world.mend(node, STORE))
  })
  return () => {
    over = true
    world.network.lag(STORE, node, 0)
  }
}

/** All arrives, and all of it late: what a node hears of another is how things were. */
function slowLink(world: World, a: string, b: string): () => void {
  const lateMs = 50 + 700 * world.random()
  const lag = (ms: number) => {
    world.network.lag(a, b, ms)
    world.network.lag(b, a, ms)
  }
  lag(lateMs)
  return () => lag(0)
}

/** Nothing can be written down on the node: no new run is begun, and a database ends at its next write. */
function fillDisk(world: World, name: string): () => void {
  const node = world.node(name)
  const filled = (full: boolean) => {
    node.processes.diskFull = full
    for (const { disk } of node.databases.values()) disk.full = full
  }
  filled(true)
  return () => filled(false)
}

function cutOff(world: World, node: string): () => void {
  const others = [...world.nodes.keys(), STORE].filter((name) => name !== node)
  for (const other of others) world.cut(node, other)
  return () => {
    for (const other of others) world.mend(node, other)
  }
}

const CONDITIONS = { 'store away': 'away', 'store full': 'full', 'store unsure': 'unsure' } as const

function storeIs(world: World, fault: keyof typeof CONDITIONS): () => void {
  const condition = CONDITIONS[fault]
  world.store.condition = condition
  return () => {
    if (world.store.condition === condition) world.store.condition = 'well'
  }
}

function slowStore(world: World): () => void {
  world.store.slowMs = 100 + Math.floor(world.random() * 250)
  return () => {
    world.store.slowMs = 0
  }
}

function badWeather(world: World): () => void {
  world.network.weather = FOUL
  return () => {
    world.network.weather = FAIR
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
