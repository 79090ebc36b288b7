/** The live view of `up` as lines: made anew from what is known, so it can be tested without a terminal. */
import type { EventRecord, Status } from '../../client/index.ts'
import type { ClusterSpec, NodeName } from '../../core/model.ts'
import type { NodePhase } from '../../local/local-node.ts'
import type { Io } from '../io.ts'
import { clip } from './columns.ts'
import { eventLines } from './print-events.ts'
import { boardLines, summaryLine } from './print-status.ts'

export interface Picture {
  readonly spec: ClusterSpec
  /** The last status that any agent gave; undefined before the first. */
  readonly status: Status | undefined
  /** How old that is. */
  readonly statusAgeMs: number
  readonly phases: ReadonlyMap<NodeName, { readonly phase: NodePhase }>
  /** Oldest first. */
  readonly events: readonly EventRecord[]
}

const STALE_MS = 3_000
const LEAST_EVENTS = 3

/** At most one line less than the terminal has, so that nothing scrolls. The newest events fill what is left. */
export function frame(io: Io, picture: Picture): string[] {
  const { events } = picture
  const above = picture.status ? clusterLines(io, picture, picture.status) : bootLines(io, picture)
  const below = ['', ...footerLines(io, picture.spec)]
  const room = io.rows - 1 - above.length - below.length - 2
  const shown = events.slice(-Math.max(LEAST_EVENTS, room))
  const middle = shown.length === 0 ? [] : ['', io.paint.dim('EVENTS'), ...eventLines(io, shown)]
  const lines = [...above, ...middle, ...below]
  return lines.length < io.rows ? lines : [...lines.slice(0, Math.max(0, io.rows - 1 - below.length)), ...below]
}

function clusterLines(io: Io, picture: Picture, status: Status): string[] {
  const { statusAgeMs, phases } = picture
  const stale =
    statusAgeMs > STALE_MS
      ? [io.paint.red(`no agent answers for ${Math.round(statusAgeMs / 1_000)} s: this is the last that was known`)]
      : []
  const waiting = [...phases].filter(([, { phase }]) => phase === 'waiting').map(([name]) => name)
  const dying =
    waiting.length === 0 ? [] : [io.paint.yellow(`the agent of ${waiting.join(', ')} died and is started again`)]
  return [summaryLine(io, status), ...stale, ...dying, ...boardLines(io, status)]
}

function bootLines({ paint }: Io, { spec, phases }: Picture): string[] {
  const nodes = [...phases].map(([name, { phase }]) => `${name} ${phase === 'running' ? 'starting' : phase}`)
  return [`${paint.bold(spec.name)}  waiting for the first agent to answer  ${paint.dim(nodes.join('  '))}`]
}

/** Where to go and how to end it. */
export function footerLines(io: Io, spec: ClusterSpec): string[] {
  const endpointLines = spec.services.flatMap(({ name, endpoints }) =>
    endpoints.map(({ protocol, port, purpose }) => {
      const label = endpoints.length > 1 ? `${name} (${purpose})` : name
      return `${label}  ${spec.nodes.map(({ address }) => `${protocol}://${address}:${port}`).join('  ')}`
    }),
  )
  const api = `API  ${spec.nodes.map(({ address }) => `http://${address}:${spec.apiPort}`).join('  ')}`
  const hint = io.paint.dim(
    'status, events -f, why SERVICE, switchover SERVICE: in another terminal.  Ctrl-C stops everything.',
  )
  return [...endpointLines, api, hint].map((line) => clip(io, line))
}
