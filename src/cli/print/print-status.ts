/** A status as an operator wants it: is everything healthy, if not what is not, where is everything, and what to type next. */
import type { EndpointStatus, InstanceStatus, NodeStatus, ServiceStatus, Status } from '../../client/index.ts'
import { formatDuration } from '../../lib/duration.ts'
import { formatSize } from '../../lib/size.ts'
import type { Io } from '../io.ts'
import { type Column, clip, tableLines } from './columns.ts'

export function statusLines(io: Io, status: Status): string[] {
  const next = nextSteps(status)
  return [
    summaryLine(io, status),
    ...boardLines(io, status),
    ...section(versionLines(io, status)),
    ...section(endpointLines(io, status)),
    ...section(next.map((line) => clip(io, line))),
  ]
}

/** Nodes, services, instances, and what is missing: a section each, with an empty line before it. */
export function boardLines(io: Io, { nodes, services }: Status): string[] {
  return [
    '',
    ...nodeLines(io, nodes),
    '',
    ...serviceLines(io, services),
    '',
    ...instanceLines(io, services),
    ...section(missingLines(io, services)),
  ]
}

/** `shop  all healthy and redundant  3 of 3 nodes alive  store embedded  (says a)`. */
export function summaryLine(io: Io, status: Status): string {
  const { cluster, nodes, store, answeredBy } = status
  const { bold, red, yellow, dim } = io.paint
  const alive = nodes.filter((node) => node.alive).length
  const drained = nodes.filter((node) => node.drained && !node.leaving).map(({ name }) => name)
  const living = `${alive} of ${nodes.length} nodes alive`
  const kept = store.writable ? `store ${store.kind}` : red(`store ${store.kind}: ${store.why || 'takes no changes'}`)
  const line = [
    bold(cluster),
    headline(io, status),
    alive === nodes.length ? living : red(living),
    ...(drained.length > 0 ? [yellow(`drained: ${drained.join(', ')}`)] : []),
    kept,
    ...configText(io, status),
    dim(`(says ${answeredBy})`),
  ]
  return clip(io, line.join('  '))
}

/** `config 4`, and what of it is not done yet. */
function configText({ paint }: Io, { config }: Status): string[] {
  if (!config || config.number === 0) return []
  const { number, leaving, removed, refused } = config
  return [
    `config ${number}`,
    ...(leaving.length > 0 ? [paint.yellow(`leaving: ${leaving.join(', ')}`)] : []),
    ...(removed.length > 0 ? [paint.yellow(`being removed: ${removed.join(', ')}`)] : []),
    ...(refused === null ? [] : [paint.red(refused)]),
  ]
}

/**
 * The worst first, each with the reason: `unhealthy: web (a: ended with code 1); degraded: db (2 of 3 replicas, one more loss
 * stops writes; c: the disk is full)`.
 */
export function headline({ paint }: Io, { services }: Status): string {
  const unhealthy = services.filter(isUnhealthy)
  const stopped = services.filter((service) => service.stopped).map(({ name }) => name)
  const degraded = services.filter(isDegraded)
  const thin = services.filter(({ redundancyState: { state } }) => state === 'not-redundant').map(({ name }) => name)
  const bad = [
    ...(unhealthy.length > 0 ? [paint.red(`unhealthy: ${unhealthy.map(unhealthyText).join(', ')}`)] : []),
    ...(degraded.length > 0 ? [paint.yellow(`degraded: ${degraded.map(degradedText).join(', ')}`)] : []),
  ]
  if (stopped.length > 0) bad.push(paint.yellow(`stopped by an operator: ${stopped.join(', ')}`))
  if (bad.length > 0) return bad.join('; ')
  if (thin.length === 0) return paint.green('all healthy and redundant')
  return `${paint.green('all healthy')}, ${paint.yellow(`not redundant as configured: ${thin.join(', ')}`)}`
}

/** Clients are not served, or nothing can be written. */
function isUnhealthy({ healthy, redundancyState, stopped }: ServiceStatus): boolean {
  if (stopped) return false
  return !healthy || redundancyState.state === 'unhealthy'
}

/** Clients are served, and something is missing. */
function isDegraded(service: ServiceStatus): boolean {
  return !isUnhealthy(service) && !service.stopped && service.redundancyState.state === 'degraded'
}

function unhealthyText({ name, redundancyState: { missing } }: ServiceStatus): string {
  const why = reasonText(missing)
  return why === '' ? name : `${name} (${why})`
}

function degradedText({ name, redundancyState: { summary, missing } }: ServiceStatus): string {
  return `${name} (${[summary, reasonText(missing)].filter(Boolean).join('; ')})`
}

const LONGEST_REASON = 120

/** The first reason, and how many more there are. */
function reasonText(missing: ServiceStatus['redundancyState']['missing']): string {
  const [first, ...others] = missing
  if (!first) return ''
  const why = first.why.length > LONGEST_REASON ? `${first.why.slice(0, LONGEST_REASON - 1)}…` : first.why
  return `${first.node === null ? '' : `${first.node}: `}${why}${others.length === 0 ? '' : `; ${others.length} more`}`
}

const MISSING_COLUMNS: readonly Column[] = [{ title: 'MISSING' }, { title: 'OF' }, { title: 'NODE' }, { title: 'WHY' }]

/** Everything that the config asks for and is not there; nothing when nothing is missing. */
function missingLines(io: Io, services: readonly ServiceStatus[]): string[] {
  const rows = services.flatMap(({ name, redundancyState: { missing } }) =>
    missing.map(({ what, node, why }) => [what, name, node ?? '', why]),
  )
  return rows.length === 0 ? [] : tableLines(io, MISSING_COLUMNS, rows)
}

/** Is everything there that the config asks for? Of healthy services. */
export function isWhole({ services }: Pick<Status, 'services'>): boolean {
  return services.every(({ redundancyState: { state }, stopped }) => stopped !== undefined || state !== 'degraded')
}

/** What `--exit-code` says: 0 all is as wished, 1 a service is unhealthy, 11 all serve and something is missing. */
export function statusExitCode({ services, nodes, store }: Status): 0 | 1 | 11 {
  if (services.some(isUnhealthy)) return 1
  return isWhole({ services }) && nodes.every(({ alive }) => alive) && store.writable ? 0 : 11
}

const NODE_COLUMNS: readonly Column[] = [
  { title: 'NODE' },
  { title: 'ADDRESS' },
  { title: 'ZONE' },
  { title: 'STATE' },
  { title: 'AGENT', align: 'right' },
  { title: 'BALANCER', align: 'right' },
  { title: 'FENCE', align: 'right' },
]

function nodeLines(io: Io, nodes: readonly NodeStatus[]): string[] {
  const pid = (value: number | null) => (value === null ? '-' : String(value))
  const rows = nodes.map((node) => [
    node.name,
    node.address,
    node.zone,
    nodeState(io, node),
    pid(node.agentPid),
    pid(node.balancerPid),
    pid(node.fencePid),
  ])
  return tableLines(io, NODE_COLUMNS, rows)
}

const VERSION_COLUMNS: readonly Column[] = [
  { title: 'VERSIONS' },
  { title: 'AGENT' },
  { title: 'BALANCER' },
  { title: 'FENCE' },
  { title: '' },
]

/** Only while the processes of a cluster are of different versions. */
export function versionLines(io: Io, { nodes }: Pick<Status, 'nodes'>): string[] {
  const rows = nodes.map((node) => [node.version, node.balancerVersion, node.fenceVersion] as const)
  const said = new Set(rows.flat().filter((version) => typeof version === 'string'))
  if (said.size < 2) return []
  const text = (version: string | null | undefined) => version ?? '-'
  return tableLines(
    io,
    VERSION_COLUMNS,
    nodes.map(({ name }, index) => {
      const [agent, balancer, fence] = rows[index] ?? []
      const stays = balancer === EARLIER && agent !== EARLIER
      const note = stays ? 'this balancer cannot hand over its connections: it stays until its node restarts' : ''
      return [name, text(agent), text(balancer), text(fence), note]
    }),
  )
}

/** What a process is called that says no version: it is of one before they did. */
const EARLIER = 'earlier'

function nodeState({ paint }: Io, { state, drained, leaving }: NodeStatus): string {
  const color = { alive: paint.green, suspect: paint.yellow, lost: paint.red, unknown: paint.yellow }[state]
  return color(state) + (leaving ? paint.yellow(', leaving') : drained ? paint.yellow(', drained') : '')
}

/** Only where a service has standbys with data. */
const EXPECTED = 'RTO NOW'
const SERVICE_COLUMNS: readonly Column[] = [
  { title: 'SERVICE' },
  { title: 'HEALTH' },
  { title: 'REDUNDANCY' },
  { title: 'PRIMARY' },
  { title: 'TERM', align: 'right' },
  { title: EXPECTED, align: 'right' },
  { title: 'WHY' },
]

function serviceLines(io: Io, services: readonly ServiceStatus[]): string[] {
  const rows = services.map(
    ({ name, healthy, readOnly, redundancyState, primary, redundancy, term, why, expectedRto, stopped, rollout }) => [
      name,
      stopped
        ? io.paint.yellow('stopped')
        : healthy
          ? io.paint.green('healthy')
          : io.paint.red(readOnly === null ? 'unhealthy' : 'read-only'),
      redundancyText(io, redundancyState),
      primary ?? '',
      redundancy === 'active-passive' ? String(term) : '',
      expectationText(io, expectedRto),
      [rolloutText(io, rollout), stopped ? stoppedText(stopped) : why].filter(Boolean).join('; '),
    ],
  )
  const isExpected = services.some(({ expectedRto }) => expectedRto !== undefined)
  if (isExpected) return tableLines(io, SERVICE_COLUMNS, rows)
  const at = SERVICE_COLUMNS.findIndex(({ title }) => title === EXPECTED)
  const others = <T>(cells: readonly T[]): T[] => cells.filter((_, index) => index !== at)
  return tableLines(io, others(SERVICE_COLUMNS), rows.map(others))
}

/** If the primary's node fell silent now: `1.1 s`, or `never` where no standby could take over. */
function expectationText({ paint }: Io, expected: ServiceStatus['expectedRto']): string {
  if (expected === undefined) return ''
  return expected.ifNodeIsLostMs === null ? paint.red('never') : formatDuration(expected.ifNodeIsLostMs)
}

/** `rolling: 1 of 3 updated`. */
function rolloutText({ paint }: Io, rollout: ServiceStatus['rollout']): string {
  if (!rollout) return ''
  const { state, updated, of, why } = rollout
  const counted = `${updated} of ${of} updated`
  return state === 'rolling' ? paint.yellow(`rolling: ${counted}`) : paint.red(`roll-out stopped: ${counted}, ${why}`)
}

function stoppedText({ at, by }: NonNullable<ServiceStatus['stopped']>): string {
  return `stopped by ${by || 'an operator'} at ${at}`
}

function redundancyText({ paint }: Io, { state, there, wanted }: ServiceStatus['redundancyState']): string {
  const counted = `${there} of ${wanted}`
  if (state === 'redundant') return paint.green(counted)
  return state === 'not-redundant' ? paint.yellow(`${counted}, no spare`) : paint.red(counted)
}

const INSTANCE_COLUMNS: readonly Column[] = [
  { title: 'INSTANCE' },
  { title: 'NODE' },
  { title: 'ROLE' },
  { title: 'STATE' },
  { title: 'HEALTH' },
  { title: 'PID', align: 'right' },
  { title: 'PORT', align: 'right' },
  { title: 'NOTE' },
]

function instanceLines(io: Io, services: readonly ServiceStatus[]): string[] {
  const rows = services.flatMap(({ name, instances }) =>
    instances.length === 0
      ? [[name, '', '', io.paint.yellow('none'), '', '', '', '']]
      : instances.map((instance, index) => instanceRow(io, index === 0 ? name : ' ', instance)),
  )
  return tableLines(io, INSTANCE_COLUMNS, rows)
}

function instanceRow(io: Io, name: string, instance: InstanceStatus): string[] {
  const { node, role, state, pid, port } = instance
  const { dim } = io.paint
  return [
    name,
    node,
    role === 'none' ? '' : role,
    state === 'running' ? state : dim(state),
    instanceHealth(io, instance),
    pid === null ? '' : String(pid),
    port === null ? '' : String(port),
    instanceNote(instance),
  ]
}

function instanceHealth({ paint }: Io, { state, healthy }: InstanceStatus): string {
  if (healthy) return paint.green('healthy')
  return state === 'running' || state === 'unknown' ? paint.red('unhealthy') : ''
}

/** A standby is always a little behind while clients write. */
const WORTH_TELLING_BYTES = 1_048_576

function instanceNote({ note, failures, retryInMs, outdated, lagBytes = 0 }: InstanceStatus): string {
  const behind = lagBytes >= WORTH_TELLING_BYTES ? `${formatSize(lagBytes)} behind` : ''
  const failed = failures === 0 ? '' : `failed ${failures === 1 ? 'once' : `${failures} times in a row`}`
  const again = retryInMs > 0 ? `again in ${formatDuration(retryInMs)}` : ''
  const old = outdated === undefined ? '' : `outdated: ${outdated}`
  return [note, old, behind, failed, again].filter(Boolean).join('; ')
}

/** Where clients connect: one line for each service that has endpoints. */
export function endpointLines(io: Io, { services, nodes }: Pick<Status, 'services' | 'nodes'>): string[] {
  const heard = new Set(nodes.filter(({ alive }) => alive).map(({ name }) => name))
  const rows = services.flatMap(({ name, endpoints }) => {
    const purposes = [...new Set(endpoints.map(({ purpose }) => purpose))]
    return purposes.map((purpose) => {
      const places = endpoints.filter((endpoint) => endpoint.purpose === purpose)
      const label = purposes.length > 1 ? `${name} (${purpose})` : name
      return [label, places.map((place) => endpointText(io, place, heard.has(place.node))).join('  ')]
    })
  })
  return rows.length === 0 ? [] : tableLines(io, [{ title: 'ENDPOINTS' }, { title: '' }], rows)
}

/** The balancer of a node that is not heard may listen or not: neither is claimed. */
function endpointText(io: Io, { protocol, host, port, open }: EndpointStatus, isHeard: boolean): string {
  const text = `${protocol}://${host}:${port}`
  if (!isHeard) return io.paint.yellow(`${text} (not known)`)
  return open ? text : io.paint.red(`${text} (closed)`)
}

function nextSteps({ services, nodes }: Status): string[] {
  const drained = nodes.filter((node) => node.drained && !node.leaving).map(({ name }) => `understudy undrain ${name}`)
  const isStuck = services.some(({ rollout }) => rollout?.state === 'stopped')
  const stopped = services.flatMap(({ name, stopped: is }) => (is ? [`understudy start ${name}`] : []))
  const bad = services.filter((service) => isUnhealthy(service) || isDegraded(service))
  const why = bad.map(({ name }) => `understudy why ${name}`)
  const next = [...why, ...drained, ...stopped, ...(isStuck ? ['understudy apply --abort'] : [])]
  return next.length === 0 ? [] : [`Next: ${next.join('   ')}`]
}

function section(lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : ['', ...lines]
}
