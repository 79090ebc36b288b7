/** A status as an operator wants it: is all well, if not what is not, where is everything, and what to type next. */
import type { EndpointStatus, InstanceStatus, NodeStatus, ServiceStatus, Status } from '../../client/index.ts'
import { formatDuration } from '../../lib/duration.ts'
import { formatSize } from '../../lib/size.ts'
import type { Io } from '../io.ts'
import { type Column, clip, tableLines } from './columns.ts'

export function statusLines(io: Io, status: Status): string[] {
  const next = nextSteps(status)
  return [
    summaryLine(io, status),
    '',
    ...nodeLines(io, status.nodes),
    '',
    ...serviceLines(io, status.services),
    '',
    ...instanceLines(io, status.services),
    ...section(doorLines(io, status.services)),
    ...section(next.map((line) => clip(io, line))),
  ]
}

/** `shop  all healthy  3 of 3 nodes alive  store embedded  (says a)`. */
export function summaryLine(io: Io, { cluster, nodes, services, store, answeredBy }: Status): string {
  const { bold, green, red, dim } = io.paint
  const unwell = services.filter(({ healthy }) => !healthy).map(({ name }) => name)
  const alive = nodes.filter((node) => node.alive).length
  const health = unwell.length === 0 ? green('all healthy') : red(`unhealthy: ${unwell.join(', ')}`)
  const living = `${alive} of ${nodes.length} nodes alive`
  const kept = store.writable ? `store ${store.kind}` : red(`store ${store.kind}: ${store.why || 'takes no changes'}`)
  const line = [bold(cluster), health, alive === nodes.length ? living : red(living), kept, dim(`(says ${answeredBy})`)]
  return clip(io, line.join('  '))
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

export function nodeLines(io: Io, nodes: readonly NodeStatus[]): string[] {
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

function nodeState({ paint }: Io, { state, drained }: NodeStatus): string {
  const color = { alive: paint.green, suspect: paint.yellow, lost: paint.red, unknown: paint.yellow }[state]
  return color(state) + (drained ? paint.yellow(', drained') : '')
}

/** Only where a service has standbys with copies. */
const EXPECTED = 'RTO NOW'
const SERVICE_COLUMNS: readonly Column[] = [
  { title: 'SERVICE' },
  { title: 'HEALTH' },
  { title: 'LED BY' },
  { title: 'TERM', align: 'right' },
  { title: EXPECTED, align: 'right' },
  { title: 'WHY' },
]

export function serviceLines(io: Io, services: readonly ServiceStatus[]): string[] {
  const rows = services.map(({ name, healthy, readOnly, primary, redundancy, term, why, expectedRto }) => [
    name,
    healthy ? io.paint.green('healthy') : io.paint.red(readOnly === null ? 'unhealthy' : 'read-only'),
    primary ?? '',
    redundancy === 'active-passive' ? String(term) : '',
    expectationText(io, expectedRto),
    why,
  ])
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

export function instanceLines(io: Io, services: readonly ServiceStatus[]): string[] {
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

/** A standby is always a little behind while somebody writes. */
const WORTH_TELLING_BYTES = 1_048_576

function instanceNote({ note, failures, retryInMs, lagBytes = 0 }: InstanceStatus): string {
  const behind = lagBytes >= WORTH_TELLING_BYTES ? `${formatSize(lagBytes)} behind` : ''
  const failed = failures === 0 ? '' : `failed ${failures === 1 ? 'once' : `${failures} times in a row`}`
  const again = retryInMs > 0 ? `again in ${formatDuration(retryInMs)}` : ''
  return [note, behind, failed, again].filter(Boolean).join('; ')
}

/** Where clients go: one line for each service that has doors. */
export function doorLines(io: Io, services: readonly ServiceStatus[]): string[] {
  const rows = services.flatMap(({ name, endpoints }) => {
    const purposes = [...new Set(endpoints.map(({ purpose }) => purpose))]
    return purposes.map((purpose) => {
      const doors = endpoints.filter((endpoint) => endpoint.purpose === purpose)
      const label = purposes.length > 1 ? `${name} (${purpose})` : name
      return [label, doors.map((door) => doorText(io, door)).join('  ')]
    })
  })
  return rows.length === 0 ? [] : tableLines(io, [{ title: 'DOORS' }, { title: '' }], rows)
}

function doorText(io: Io, { protocol, host, port, open }: EndpointStatus): string {
  const text = `${protocol}://${host}:${port}`
  return open ? text : io.paint.red(`${text} (closed)`)
}

function nextSteps({ services, nodes }: Status): string[] {
  const drained = nodes.filter((node) => node.drained).map(({ name }) => `understudy undrain ${name}`)
  const unwell = services.filter(({ healthy }) => !healthy).map(({ name }) => `understudy why ${name}`)
  return [...unwell, ...drained].length === 0 ? [] : [`Next: ${[...unwell, ...drained].join('   ')}`]
}

function section(lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : ['', ...lines]
}
