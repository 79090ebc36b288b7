/**
 * The words of scenarios: one command a line, the same for the simulator and for drills on a live cluster. `parse` turns
 * text into data and refuses what it does not know; scenario/runner.ts performs it in a made-up world.
 *
 *     cluster a:north b:south c:west          nodes and their zones
 *     service worker command active-passive 2 warm
 *     service web http active-active 3 cold [at-once=2] [rollback]
 *     service db database 3 [k=1] [run-alone]
 *     start                                   what `up` does
 *     kill worker.primary | a.worker | a.agent [for good] | a.fence | a
 *     freeze …  thaw …  restart a | a.agent
 *     cut a b | a -> b     mend a b | a -> b     heal
 *     store away | slow | full | unsure | back
 *     unhealthy a.worker   crash a.worker every 50ms   refuse a.worker   stubborn a.worker   fix a.worker
 *     stuck-receiver a.db   late-receiver a.db   slow-checkpoint a.db   failing-rewind a.db
 *     foreign-log a.db   hasty-start a.db   lost-log a.db   broken-stream a.db   half-open-stream a.db
 *     pause a.db   block a.db   slow a.db   fill a.db   slow-disk a.db   cancel-waits db.primary     (replay, disk, commits that wait)
 *     transaction db.primary                  a client begins one and does not end it before `fix`
 *     clock a back 1h | ahead 1h     slow-kills a     (its kernel takes long to end what is killed)
 *     switchover worker [to b]   drain a   undrain a   resize db 5 [block | run-alone]   stop
 *     apply web env=2 [never-healthy | crashes | late]     apply db in-place=2     restart web     stop web     start web
 *     remove node c   add node c   remove service web   add service web
 *     wait 500ms     wait for elect [within 2s]     (until an agent has done a step of that rule)
 *     expect worker served [by b] within 300ms     expect worker not served     expect one writer
 *     expect worker served for 5s             at every moment of it
 *     expect settled within 20s               every service has what its config asks for
 *     expect db read-only
 *     expect web env=2 within 20s     expect roll-out of web stopped within 20s
 *     expect a empty within 5s     expect quiet for 5s
 *     status
 */
import { RULES } from '../../core/rule-names.ts'
import { parseDuration } from '../../lib/duration.ts'
import type { MadeUpNode, MadeUpService } from '../made-up-cluster.ts'
import { FLAWS, type Flaw } from '../made-up-version.ts'

export type Target =
  | { readonly what: 'node'; readonly node: string }
  | { readonly what: 'agent' | 'fence'; readonly node: string }
  | { readonly what: 'process'; readonly node: string; readonly service: string }
  | { readonly what: 'primary'; readonly service: string }

/** What goes wrong with one replica of a database. */
export type CopyFault =
  | 'pause'
  | 'block'
  | 'slow'
  | 'fill'
  | 'slow-disk'
  | 'cancel-waits'
  | 'stuck-receiver'
  | 'late-receiver'
  | 'slow-checkpoint'
  | 'failing-rewind'
  | 'foreign-log'
  | 'hasty-start'
  | 'lost-log'
  | 'broken-stream'
  | 'half-open-stream'
  | 'transaction'

export type Command = { readonly text: string } & (
  | { readonly do: 'cluster'; readonly nodes: readonly MadeUpNode[] }
  | { readonly do: 'service'; readonly service: MadeUpService }
  | { readonly do: 'start' | 'stop' | 'heal' | 'status' | 'expect one writer' | 'expect nothing lost' }
  | { readonly do: 'kill' | 'freeze' | 'thaw' | 'restart'; readonly target: Target; readonly forGood: boolean }
  | { readonly do: 'cut' | 'mend'; readonly a: string; readonly b: string; readonly oneWay: boolean }
  | { readonly do: 'store'; readonly condition: 'away' | 'slow' | 'full' | 'unsure' | 'back' }
  | { readonly do: 'unhealthy' | 'refuse' | 'stubborn' | 'fix'; readonly target: Target }
  | { readonly do: CopyFault; readonly target: Target }
  | { readonly do: 'crash'; readonly target: Target; readonly everyMs: number }
  | { readonly do: 'slow-kills'; readonly node: string }
  | { readonly do: 'clock'; readonly node: string; readonly byMs: number }
  | { readonly do: 'switchover'; readonly service: string; readonly to: string | null }
  | { readonly do: 'drain' | 'undrain'; readonly node: string }
  | {
      readonly do: 'resize'
      readonly service: string
      readonly instances: number
      readonly degrade?: 'block' | 'run-alone'
    }
  | {
      readonly do: 'apply'
      readonly service: string
      readonly how: 'env' | 'in-place'
      readonly value: string
      readonly flaw?: Flaw
    }
  | { readonly do: 'add node' | 'remove node'; readonly node: string }
  | { readonly do: 'add service' | 'remove service' | 'stop service' | 'start service'; readonly service: string }
  | { readonly do: 'expect env'; readonly service: string; readonly value: string; readonly withinMs: number }
  | { readonly do: 'expect roll-out stopped'; readonly service: string; readonly withinMs: number }
  | { readonly do: 'wait' | 'expect quiet'; readonly forMs: number }
  | { readonly do: 'wait for'; readonly rule: string; readonly withinMs: number }
  | { readonly do: 'expect settled'; readonly withinMs: number }
  | { readonly do: 'expect stays served'; readonly service: string; readonly forMs: number }
  | { readonly do: 'expect served'; readonly service: string; readonly by: string | null; readonly withinMs: number }
  | { readonly do: 'expect empty'; readonly node: string; readonly withinMs: number }
  | { readonly do: 'expect not served' | 'expect read-only'; readonly service: string }
)

/** Blank lines and lines that begin with `#` say nothing. Throws with the line that makes no sense. */
export function parse(text: string): Command[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map(parseLine)
}

function parseLine(text: string): Command {
  const words = text.split(/\s+/)
  const [verb = '', ...rest] = words
  const command = verb === 'expect' ? parseExpect(rest) : (VERBS[verb]?.(rest) ?? null)
  if (!command) throw new Error(`a scenario does not know: ${text}`)
  return { text, ...command } as Command
}

type Parsed = object | null

const VERBS: Readonly<Record<string, (rest: string[]) => Parsed>> = {
  cluster: (rest) => ({ do: 'cluster', nodes: rest.map(parseNode) }),
  service: parseService,
  start: parseAloneOrFor('start'),
  stop: parseAloneOrFor('stop'),
  apply: parseApply,
  add: parseNamed('add'),
  remove: parseNamed('remove'),
  heal: parseAlone('heal'),
  status: parseAlone('status'),
  kill: parseTargeted('kill'),
  freeze: parseTargeted('freeze'),
  thaw: parseTargeted('thaw'),
  restart: parseTargeted('restart'),
  cut: parseLink('cut'),
  mend: parseLink('mend'),
  store: ([condition = '', ...rest]) =>
    CONDITIONS.has(condition) && rest.length === 0 ? { do: 'store', condition } : null,
  unhealthy: parseTargeted('unhealthy'),
  refuse: parseTargeted('refuse'),
  stubborn: parseTargeted('stubborn'),
  fix: parseTargeted('fix'),
  crash: ([target, every, time, ...rest]) =>
    every === 'every' && rest.length === 0
      ? { do: 'crash', target: parseTarget(target), everyMs: parseTime(time) }
      : null,
  clock: ([node, way, time, ...rest]) =>
    (way === 'back' || way === 'ahead') && rest.length === 0
      ? { do: 'clock', node, byMs: parseTime(time) * (way === 'back' ? -1 : 1) }
      : null,
  'slow-kills': parseOneNode('slow-kills'),
  switchover: ([service, way, to = null, ...rest]) =>
    service !== undefined && (way === undefined || (way === 'to' && to !== null)) && rest.length === 0
      ? { do: 'switchover', service, to }
      : null,
  drain: parseOneNode('drain'),
  undrain: parseOneNode('undrain'),
  resize: ([service, instances, degrade, ...rest]) =>
    (degrade === undefined || degrade === 'block' || degrade === 'run-alone') && rest.length === 0
      ? { do: 'resize', service, instances: parseCount(instances), ...(degrade && { degrade }) }
      : null,
  pause: parseTargeted('pause'),
  block: parseTargeted('block'),
  slow: parseTargeted('slow'),
  fill: parseTargeted('fill'),
  'slow-disk': parseTargeted('slow-disk'),
  'cancel-waits': parseTargeted('cancel-waits'),
  'stuck-receiver': parseTargeted('stuck-receiver'),
  'late-receiver': parseTargeted('late-receiver'),
  'slow-checkpoint': parseTargeted('slow-checkpoint'),
  'failing-rewind': parseTargeted('failing-rewind'),
  'foreign-log': parseTargeted('foreign-log'),
  'hasty-start': parseTargeted('hasty-start'),
  'lost-log': parseTargeted('lost-log'),
  'broken-stream': parseTargeted('broken-stream'),
  'half-open-stream': parseTargeted('half-open-stream'),
  transaction: parseTargeted('transaction'),
  wait: (rest) => parseWait(rest.join(' ')),
}

const WAITS_FOR_MS = 10_000

/** `500ms`, `for elect`, `for elect within 2s` */
function parseWait(said: string): Parsed {
  const [, rule, within] = /^for (\S+)(?: within (\S+))?$/.exec(said) ?? []
  if (rule === undefined) return said.includes(' ') ? null : { do: 'wait', forMs: parseTime(said) }
  if (!(rule in RULES)) throw new Error(`no rule: ${rule}`)
  return { do: 'wait for', rule, withinMs: within === undefined ? WAITS_FOR_MS : parseTime(within) }
}

/** `worker served [by b] within 300ms`, `worker not served`, `one writer`, `quiet for 5s`. */
function parseExpect(words: string[]): Parsed {
  const said = words.join(' ')
  if (said === 'nothing lost') return { do: 'expect nothing lost' }
  if (said === 'one writer') return { do: 'expect one writer' }
  const quiet = /^quiet for (\S+)$/.exec(said)
  if (quiet) return { do: 'expect quiet', forMs: parseTime(quiet[1]) }
  const empty = /^(\S+) empty within (\S+)$/.exec(said)
  if (empty) return { do: 'expect empty', node: empty[1], withinMs: parseTime(empty[2]) }
  const settled = /^settled within (\S+)$/.exec(said)
  if (settled) return { do: 'expect settled', withinMs: parseTime(settled[1]) }
  const stays = /^(\S+) served for (\S+)$/.exec(said)
  if (stays) return { do: 'expect stays served', service: stays[1], forMs: parseTime(stays[2]) }
  const not = /^(\S+) not served$/.exec(said)
  if (not) return { do: 'expect not served', service: not[1] }
  const readOnly = /^(\S+) read-only$/.exec(said)
  if (readOnly) return { do: 'expect read-only', service: readOnly[1] }
  const env = /^(\S+) env=(\S+) within (\S+)$/.exec(said)
  if (env) return { do: 'expect env', service: env[1], value: env[2], withinMs: parseTime(env[3]) }
  const rollout = /^roll-out of (\S+) stopped within (\S+)$/.exec(said)
  if (rollout) return { do: 'expect roll-out stopped', service: rollout[1], withinMs: parseTime(rollout[2]) }
  const served = /^(\S+) served(?: by (\S+))? within (\S+)$/.exec(said)
  if (!served) return null
  return { do: 'expect served', service: served[1], by: served[2] ?? null, withinMs: parseTime(served[3]) }
}

const CONDITIONS: ReadonlySet<string> = new Set(['away', 'slow', 'full', 'unsure', 'back'])

/** `web http active-active 2`, `worker command active-passive 2 warm`, `db database 3 k=2 run-alone` */
function parseService([name, kind, ...rest]: string[]): Parsed {
  if (kind === 'database') {
    const [instances, ...words] = rest
    return { do: 'service', service: { name, kind, instances: parseCount(instances), ...parseDatabase(words) } }
  }
  const [redundancy = '', instances, standby = 'cold', ...more] = rest
  const isKnown = (kind === 'http' || kind === 'command') && ['active-active', 'active-passive'].includes(redundancy)
  if (!isKnown || !['warm', 'cold'].includes(standby)) return null
  const service = { name, kind, redundancy, instances: parseCount(instances), standby, ...parseUpdate(more) }
  return { do: 'service', service }
}

/** `at-once=2`, `rollback` */
function parseUpdate(words: readonly string[]): Pick<MadeUpService, 'update'> {
  const atOnce = words.find((word) => word.startsWith('at-once='))?.slice('at-once='.length)
  const strange = words.find((word) => !word.startsWith('at-once=') && word !== 'rollback')
  if (strange !== undefined) throw new Error(`a scenario does not know: ${strange}`)
  if (words.length === 0) return {}
  const onFailure = words.includes('rollback') ? 'rollback' : 'stop'
  return { update: { onFailure, ...(atOnce !== undefined && { atOnce: parseCount(atOnce) }) } }
}

/** `web env=2`, `web env=3 crashes`, `db in-place=2` */
function parseApply([service, change = '', said, ...rest]: string[]): Parsed {
  const [, how, value] = /^(env|in-place)=(\S+)$/.exec(change) ?? []
  const flaw = FLAWS.find((one) => one === said?.replace('-', ' '))
  if (how === undefined || rest.length > 0 || (said !== undefined && flaw === undefined)) return null
  return { do: 'apply', service, how, value, ...(flaw && { flaw }) }
}

function parseNamed(verb: 'add' | 'remove'): (rest: string[]) => Parsed {
  return ([what, name, ...rest]) => {
    if (name === undefined || rest.length > 0) return null
    if (what === 'node') return { do: `${verb} node`, node: name }
    return what === 'service' ? { do: `${verb} service`, service: name } : null
  }
}

/** The whole cluster, or one service. */
function parseAloneOrFor(verb: 'start' | 'stop'): (rest: string[]) => Parsed {
  return ([service, ...rest]) => {
    if (rest.length > 0) return null
    return service === undefined ? { do: verb } : { do: `${verb} service`, service }
  }
}

/** `k=2`, `run-alone` */
function parseDatabase(words: readonly string[]): object {
  const k = words.find((word) => word.startsWith('k='))?.slice(2)
  const degrade = words.includes('run-alone') ? 'run-alone' : 'block'
  const strange = words.find((word) => !word.startsWith('k=') && word !== 'run-alone' && word !== 'block')
  if (strange !== undefined) throw new Error(`a scenario does not know: ${strange}`)
  return { redundancy: 'active-passive', standby: 'warm', degrade, ...(k !== undefined && { k: parseCount(k) }) }
}

function parseAlone(verb: string): (rest: string[]) => Parsed {
  return (rest) => (rest.length === 0 ? { do: verb } : null)
}

function parseOneNode(verb: string): (rest: string[]) => Parsed {
  return ([node, ...rest]) => (node !== undefined && rest.length === 0 ? { do: verb, node } : null)
}

function parseTargeted(verb: string): (rest: string[]) => Parsed {
  return ([target, ...rest]) => {
    const forGood = verb === 'kill' && rest.join(' ') === 'for good'
    if (target === undefined || (rest.length > 0 && !forGood)) return null
    return { do: verb, target: parseTarget(target), forGood }
  }
}

function parseLink(verb: string): (rest: string[]) => Parsed {
  return (rest) => {
    const [a, b, ...more] = rest.filter((word) => word !== '->')
    return b !== undefined && more.length === 0 ? { do: verb, a, b, oneWay: rest.includes('->') } : null
  }
}

function parseCount(text = ''): number {
  if (!/^\d+$/.test(text)) throw new Error(`not a number: ${text}`)
  return Number(text)
}

function parseTarget(text = ''): Target {
  const [first = '', second] = text.split('.')
  if (second === undefined) return { what: 'node', node: first }
  if (second === 'primary') return { what: 'primary', service: first }
  if (second === 'agent' || second === 'fence') return { what: second, node: first }
  return { what: 'process', node: first, service: second }
}

function parseNode(text: string): MadeUpNode {
  const [name = text, zone = name] = text.split(':')
  return { name, zone }
}

function parseTime(text: string | undefined): number {
  const ms = parseDuration(text ?? '')
  if (ms === undefined) throw new Error(`not a duration: ${text}`)
  return ms
}
