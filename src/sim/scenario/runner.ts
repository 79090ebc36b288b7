/** Performs a scenario in a made-up world and writes down what happened, as text that is compared and read in review. */

import type { AgentSurface } from '../../agent/agent-surface.ts'
import type { Accepted, EventRecord } from '../../api/api-types.ts'
import type { ClusterSpec } from '../../core/model.ts'
import { AssertionError } from '../../lib/assert.ts'
import { onFault } from '../../lib/background.ts'
import { formatDuration } from '../../lib/duration.ts'
import { harmCopy, healCopy, isCopyFault } from '../database/replica-faults.ts'
import type { MadeUpNode, MadeUpService } from '../made-up-cluster.ts'
import { madeUpCluster } from '../made-up-cluster.ts'
import { serves } from '../served.ts'
import { unsettled } from '../settled.ts'
import { World } from '../sim-world.ts'
import { checkNames } from './known-names.ts'
import { type Command, type CopyFault, parse, type Target } from './language.ts'
import { expectVersion, isChange, performChange, restartService } from './perform-change.ts'
import { tableOf } from './who-runs-what.ts'

export interface Told {
  readonly text: string
  /** Expectations that were not met and invariants that were broken. */
  readonly failures: readonly string[]
}

export interface ScenarioOptions {
  /** Of the weather and of all other chance. Default 1. */
  readonly seed?: number
  /** What plays in it; then `source` has no `cluster` and `service` lines. Default: those lines say it. */
  readonly cluster?: ClusterSpec
}

/**
 * Performs the commands of `source` in a made-up world, in virtual time: the same seed tells the same story. Throws with the
 * line that makes no sense, or that names what the cluster does not have. Expectations that are not met are in `failures`.
 */
export async function tellScenario(source: string, options: ScenarioOptions = {}): Promise<Told> {
  const commands = parse(source)
  const runner = new Runner(options)
  for (const command of commands) await runner.perform(command)
  return runner.told()
}

const SLOW_KILL_MS = 500

const CONDITION = { away: 'away', full: 'full', unsure: 'unsure', slow: 'well', back: 'well' } as const

class Runner {
  readonly #options: ScenarioOptions
  readonly #lines: string[] = []
  readonly #failures: string[] = []
  #nodes: readonly MadeUpNode[] = []
  readonly #services: MadeUpService[] = []
  #world: World | null = null
  #isStarted = false

  constructor(options: ScenarioOptions) {
    this.#options = options
  }

  told(): Told {
    const broken = this.#world?.violations.map(({ sentence }) => sentence) ?? []
    return { text: `${this.#lines.join('\n')}\n`, failures: [...new Set([...this.#failures, ...broken])] }
  }

  async perform(command: Command): Promise<void> {
    if (command.do === 'cluster' || command.do === 'service') this.#refuseSecond(command)
    if (command.do === 'cluster') this.#nodes = command.nodes
    else if (command.do === 'service') this.#services.push(command.service)
    else {
      if (command.do !== 'status') this.#say(`> ${command.text}`)
      const deaf = onFault((what, error) => this.#failures.push(`a fault in ${what}: ${error.message}`))
      await this.#act(command).finally(deaf)
    }
  }

  async #act(command: Command): Promise<void> {
    const world = this.#theWorld()
    checkNames(command, world.cluster)
    if (command.do === 'start') this.#isStarted = true
    if (command.do.startsWith('expect') && !this.#isStarted) throw new Error(`${command.text}: comes before “start”`)
    if (isOfCopy(command)) return this.#harm(command.do, command.target)
    switch (command.do) {
      case 'start':
        world.start()
        break
      case 'heal':
        world.heal()
        break
      case 'wait':
        await world.clock.advance(command.forMs)
        break
      case 'wait for':
        await this.#waitFor(world, command.rule, command.withinMs)
        break
      case 'status':
        this.#lines.push('', ...tableOf(world), '')
        break
      case 'kill':
      case 'freeze':
      case 'thaw':
      case 'restart':
        this.#hit(command.do, command.target, command.forGood)
        break
      case 'cut':
      case 'mend':
        world[command.do](command.a, command.b, command.oneWay)
        break
      case 'store':
        world.store.slowMs = command.condition === 'slow' ? 200 : 0
        world.store.condition = CONDITION[command.condition]
        break
      case 'unhealthy':
      case 'refuse':
      case 'stubborn':
      case 'fix':
      case 'crash':
        this.#spoil(command)
        break
      case 'slow-kills':
        world.node(command.node).processes.killWithinMs = SLOW_KILL_MS
        break
      case 'clock':
        world.node(command.node).clock.jumpWall(command.byMs)
        break
      default:
        await this.#askOrExpect(command, world)
    }
  }

  /** The next fault comes at a moment of what agents do, however long it took them to get there. */
  async #waitFor(world: World, rule: string, withinMs: number): Promise<void> {
    const count = () => world.rules.get(`${rule} done`) ?? 0
    const before = count()
    await world.clock.runUntil(world.nowMs + withinMs, () => count() > before)
    if (count() === before) this.#fail(`no agent did a step of ${rule} within ${formatDuration(withinMs)}`)
  }

  /** What an operator asks of the cluster, and what is expected of it. */
  async #askOrExpect(command: Command, world: World): Promise<void> {
    if (isChange(command)) return this.#say(`  ${await performChange(world, command)}`)
    switch (command.do) {
      case 'expect env':
      case 'expect roll-out stopped': {
        const { isMet, sentence } = await expectVersion(world, command)
        return this.#check(isMet, sentence, sentence)
      }
      case 'stop':
        world.wantStopped()
        return this.#ask((surface) => surface.stopCluster())
      case 'switchover': {
        const { service, to } = command
        return this.#ask((surface) => surface.switchover({ service, ...(to !== null && { to }) }))
      }
      case 'resize': {
        const { service, instances, degrade } = command
        return this.#ask((surface) => surface.resize({ service, instances, ...(degrade && { degrade }) }))
      }
      case 'drain':
      case 'undrain':
        return this.#ask((surface) => surface.drain(command.node, command.do === 'drain'))
      case 'expect quiet':
        return this.#expectQuiet(command.forMs)
      case 'expect settled':
        return this.#expectSettled(world, command.withinMs)
      case 'expect stays served':
        return this.#expectStaysServed(world, command.service, command.forMs)
      case 'expect empty':
        return this.#expectEmpty(command.node, command.withinMs)
      case 'expect served':
        return this.#expectServed(command.service, command.by, command.withinMs)
      case 'expect not served': {
        const { service } = command
        return this.#check(serves(world, service) === undefined, `${service} is not served`, `${service} is served`)
      }
      case 'expect read-only':
        return this.#expectReadOnly(world, command.service)
      case 'expect one writer':
        return this.#expectOneWriter(world)
      case 'expect nothing lost':
        return this.#expectNothingLost(world)
      default:
        throw new AssertionError(`${command.do} comes before the world`)
    }
  }

  #theWorld(): World {
    if (this.#world) return this.#world
    const { cluster = madeUpCluster(this.#nodes, this.#services), seed = 1 } = this.#options
    const world = new World({ cluster, seed, freezes: true })
    world.onHappened(({ node, what }) => this.#say(typeof what === 'string' ? what : sentenceOf(node, what)))
    this.#world = world
    return world
  }

  /** One source says what plays, and before it begins. */
  #refuseSecond({ text }: Command): void {
    if (this.#options.cluster) throw new Error(`${text}: the config says which nodes and services there are`)
    if (this.#world) throw new Error(`${text}: comes after the first command`)
  }

  #hit(how: 'kill' | 'freeze' | 'thaw' | 'restart', target: Target, forGood: boolean): void {
    const world = this.#theWorld()
    if (target.what === 'process' || target.what === 'primary') {
      const process =
        target.what === 'primary' ? world.primaryOf(target.service) : world.processOf(target.service, target.node)
      if (!process || (how === 'kill' && process.dying)) {
        const who = target.what === 'primary' ? `${target.service}.primary` : `${target.node}.${target.service}`
        return this.#fail(`${how} ${who}: there is no such process`)
      }
      const { processes } = world.node(process.node)
      if (how === 'kill') return processes.kill(process)
      if (how === 'freeze') return processes.freeze(process)
      return processes.thaw(process)
    }
    if (how === 'restart' && world.cluster.services.some(({ name }) => name === target.node))
      return restartService(world, target.node)
    const node = world.node(target.node)
    if (target.what === 'fence') return node.fence.die()
    if (target.what === 'agent') {
      if (how === 'kill') return world.killAgent(target.node, forGood)
      if (how === 'restart') return world.startAgent(target.node)
      return how === 'freeze' ? node.freezeAgent() : node.thawAgent()
    }
    if (how === 'restart') return world.bootNode(target.node)
    return world.killNode(target.node)
  }

  #expectNothingLost(world: World): void {
    const kept = [...world.ledgers.values()].reduce((sum, { acknowledged }) => sum + acknowledged, 0)
    const bad = world.violations.map(({ sentence }) => sentence).join('; ')
    if (kept === 0) return this.#fail('no write was acknowledged')
    this.#check(world.violations.length === 0, 'every acknowledged write is there', bad)
  }

  #expectOneWriter(world: World): void {
    const hasOne = world.cluster.services.some(({ redundancy }) => redundancy === 'active-passive')
    if (!hasOne) return this.#fail('no service of this cluster has one writer')
    this.#check(world.violations.length === 0, 'one writer at every moment', 'more than one writer')
  }

  async #expectSettled(world: World, withinMs: number): Promise<void> {
    const from = world.nowMs
    await world.clock.runUntil(from + withinMs, () => unsettled(world).length === 0)
    const open = unsettled(world)
    const took = formatDuration(world.nowMs - from)
    this.#check(open.length === 0, `settled after ${took}`, `not settled after ${took}: ${open.join('; ')}`)
  }

  /** Judged at every moment at which anything happens. */
  async #expectStaysServed(world: World, service: string, forMs: number): Promise<void> {
    const from = world.nowMs
    await world.clock.runUntil(from + forMs, () => serves(world, service) === undefined)
    const isServed = serves(world, service) !== undefined
    const took = formatDuration(world.nowMs - from)
    this.#check(isServed, `${service} was served all the time`, `${service} is not served after ${took}`)
  }

  #harm(how: CopyFault, target: Target): void {
    const world = this.#theWorld()
    if (target.what !== 'process' && target.what !== 'primary') return this.#fail('name a node and a service')
    const node = target.what === 'process' ? target.node : world.primaryOf(target.service)?.node
    if (node === undefined || harmCopy(world, how, node, target.service) === null)
      this.#fail(`there is no replica of ${target.service} there`)
  }

  #spoil(command: Command & { do: 'unhealthy' | 'refuse' | 'stubborn' | 'fix' | 'crash' }): void {
    const { target } = command
    if (target.what !== 'process') return this.#fail(`${command.text}: name a node and a service`)
    const { processes } = this.#theWorld().node(target.node)
    const habits = processes.habitsOf(target.service)
    if (command.do === 'fix') healCopy(this.#theWorld(), target.node, target.service)
    if (command.do === 'fix')
      Object.assign(habits, { unhealthy: false, refused: false, stubborn: false, crashAfterMs: null })
    if (command.do === 'unhealthy') habits.unhealthy = true
    if (command.do === 'refuse') habits.refused = true
    if (command.do === 'stubborn') habits.stubborn = true
    if (command.do === 'crash') habits.crashAfterMs = command.everyMs
    processes.followHabits(target.service)
  }

  /** What a person asks, asked of the first node whose agent answers. */
  async #ask(call: (surface: AgentSurface) => Promise<Accepted>): Promise<void> {
    const world = this.#theWorld()
    const surface = [...world.nodes.values()].find((node) => node.surface !== null)?.surface
    if (!surface) return this.#fail('no agent answers')
    let answer: string | undefined
    call(surface).then(
      ({ what }) => {
        answer = `accepted: ${what}`
      },
      (error: Error) => {
        answer = `refused: ${error.message}`
      },
    )
    await world.clock.runUntil(world.nowMs + 5_000, () => answer !== undefined)
    this.#say(`  ${answer ?? 'no answer within 5 s'}`)
  }

  async #expectServed(service: string, by: string | null, withinMs: number): Promise<void> {
    const world = this.#theWorld()
    const from = world.nowMs
    const isServed = () => {
      const node = serves(world, service, from)
      return node !== undefined && (by === null || by === node)
    }
    await world.clock.runUntil(from + withinMs, isServed)
    const took = formatDuration(world.nowMs - from)
    const who = serves(world, service, from)
    const served = `${service} is served by ${who} after ${took}`
    this.#check(
      isServed(),
      served,
      who === undefined ? `${service} is not served after ${took}` : `${served}, not by ${by}`,
    )
  }

  /** As every agent that answers sees it, and leads clients there. */
  #expectReadOnly(world: World, name: string): void {
    const agents = [...world.nodes.values()].flatMap(({ surface }) => surface ?? [])
    const told = agents.map((agent) => agent.status().services.find((one) => one.name === name)?.readOnly ?? null)
    const isSo = told.length > 0 && told.every((why) => why !== null)
    this.#check(isSo, told[0] ?? '', `${name} is not read-only`)
  }

  async #expectEmpty(name: string, withinMs: number): Promise<void> {
    const world = this.#theWorld()
    const from = world.nowMs
    const isEmpty = () => world.node(name).processes.all().length === 0
    await world.clock.runUntil(from + withinMs, isEmpty)
    const took = formatDuration(world.nowMs - from)
    this.#check(isEmpty(), `nothing runs on ${name} after ${took}`, `something still runs on ${name} after ${took}`)
  }

  async #expectQuiet(forMs: number): Promise<void> {
    const world = this.#theWorld()
    const before = [world.stepsDone, world.stepsFailed, world.processChanges].join(' ')
    await world.clock.advance(forMs)
    const after = [world.stepsDone, world.stepsFailed, world.processChanges].join(' ')
    this.#check(before === after, `nothing was done for ${formatDuration(forMs)}`, 'it is not quiet')
  }

  #check(isSo: boolean, good: string, bad: string): void {
    if (isSo) this.#say(`  ok: ${good}`)
    else this.#fail(bad)
  }

  #fail(sentence: string): void {
    this.#say(`  NOT MET: ${sentence}`)
    this.#failures.push(sentence)
  }

  #say(line: string): void {
    const atMs = Math.round(this.#world?.nowMs ?? 0)
    this.#lines.push(`${String(atMs).padStart(7)} ms  ${line}`)
  }
}

/** What is over needs no sentence: the one that said what was wrong stands above. */
function sentenceOf(node: string, { rule, kind, service, why }: EventRecord): string {
  const about = kind === 'ended' ? (service ?? '') : why
  return `${node}  ${kind.padEnd(7)} ${rule.padEnd(20)} ${about}`.trimEnd()
}

function isOfCopy(command: Command): command is Extract<Command, { do: CopyFault }> {
  return isCopyFault(command.do)
}
