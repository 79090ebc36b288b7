/** Events, explanations and receipts as lines. */
import type { EventRecord, Explanation, Receipt, SessionsSummary } from '../../client/index.ts'
import { formatDuration } from '../../lib/duration.ts'
import type { Io } from '../io.ts'
import { type Column, clip, tableLines } from './columns.ts'

/** How wide the columns are: guessed for a line that knows no others, exact for a list. */
export interface EventWidths {
  readonly node: number
  readonly service: number
  readonly rule: number
}

const USUAL: EventWidths = { node: 3, service: 8, rule: 20 }

/** Several events in aligned columns. */
export function eventLines(io: Io, events: readonly EventRecord[]): string[] {
  const widest = (cells: readonly string[]) => Math.max(0, ...cells.map((cell) => cell.length))
  const widths = {
    node: widest(events.map(({ node }) => node)),
    service: widest(events.map(({ service }) => service ?? '-')),
    rule: widest(events.map(({ rule }) => rule)),
  }
  return events.map((event) => eventLine(io, event, widths))
}

/** `03:04:05.678  a  web  noticed  instance-down  it ended with code 1`. */
export function eventLine(io: Io, event: EventRecord, widths = USUAL): string {
  const { dim } = io.paint
  const parts = [
    dim(clockTime(event.at)),
    event.node.padEnd(widths.node),
    (event.service ?? '-').padEnd(widths.service),
    kindColor(io, event.kind)(event.kind.padEnd(7)),
    event.rule.padEnd(widths.rule),
    event.why,
  ]
  return clip(io, parts.join('  '))
}

/** The time of day here, with milliseconds. */
export function clockTime(at: string): string {
  const time = new Date(at)
  const pad = (value: number, digits = 2) => String(value).padStart(digits, '0')
  const day = [time.getHours(), time.getMinutes(), time.getSeconds()].map((value) => pad(value)).join(':')
  return `${day}.${pad(time.getMilliseconds(), 3)}`
}

function kindColor({ paint }: Io, kind: EventRecord['kind']): (text: string) => string {
  return { noticed: paint.yellow, done: paint.green, failed: paint.red, ended: paint.dim, told: paint.dim }[kind]
}

/** What a program prints often says why it came to this. */
const PRINTED = new Set([
  'instance-down',
  'instance-crashing',
  'instance-unproven',
  'instance-unhealthy',
  'primary-down',
  'primary-unhealthy',
])

export function explanationLines(io: Io, explanation: Explanation): string[] {
  const { bold, green, red, dim } = io.paint
  const { service, now, problems, candidates, recent } = explanation
  const open = problems.map(({ rule, node, why, evidence }) => [
    red(rule),
    node,
    `${why}${evidence ? dim(` (${evidence})`) : ''}`,
  ])
  const able = candidates.map((candidate) => [candidate.node, candidate.able ? green('yes') : 'no', candidate.why])
  return [
    clip(io, `${bold(service)}  ${now}`),
    '',
    ...(open.length === 0
      ? ['No open problems.']
      : tableLines(io, [{ title: 'PROBLEM' }, { title: 'SEEN BY' }, { title: 'WHY' }], open)),
    ...(problems.some(({ rule }) => PRINTED.has(rule))
      ? ['', `“understudy logs ${service}” shows what it printed.`]
      : []),
    ...(able.length === 0
      ? []
      : ['', ...tableLines(io, [{ title: 'NODE' }, { title: 'CAN BE PRIMARY' }, { title: 'WHY' }], able)]),
    ...(recent.length === 0 ? [] : ['', dim('WHAT HAPPENED LAST'), ...eventLines(io, recent)]),
  ]
}

const RECEIPT_COLUMNS: readonly Column[] = [
  { title: 'WHEN' },
  { title: 'SERVICE' },
  { title: 'KIND' },
  { title: 'FROM' },
  { title: 'TO' },
  { title: 'TERM', align: 'right' },
  { title: 'BACK AFTER', align: 'right' },
  { title: 'RULE' },
]

export function receiptsLines(io: Io, receipts: readonly Receipt[]): string[] {
  if (receipts.length === 0) return ['No receipts: nothing had to fail over, move or be repaired yet.']
  const rows = receipts.map(({ noticedAt, service, kind, from, to, term, backAfterMs, rule }) => [
    clockTime(noticedAt),
    service,
    kind,
    from ?? '',
    to,
    term === 0 ? '' : String(term),
    formatDuration(backAfterMs),
    rule,
  ])
  return tableLines(io, RECEIPT_COLUMNS, rows)
}

/** One receipt in full: what, why, and each moment. */
export function receiptLines(io: Io, receipt: Receipt): string[] {
  const { bold, dim } = io.paint
  const { kind, service, from, to, term, backAfterMs, rule, why, marks } = receipt
  const moved = from === null || from === to ? `on ${to}` : `${from} → ${to}`
  const head = `${bold(service)}  ${kind}  ${moved}${term === 0 ? '' : `  term ${term}`}  back after ${bold(formatDuration(backAfterMs))}`
  const steps = marks.map(({ name, atMs }) => `  ${formatDuration(atMs).padStart(8)}  ${name}`)
  return [
    clip(io, head),
    clip(io, dim(`  ${rule}: ${why}`)),
    ...steps,
    ...(receipt.sessions ? [clip(io, `  ${sessionsText(receipt.sessions)}`)] : []),
    ...(receipt.candidates ?? []).map(({ node, why: reason }) => clip(io, dim(`  not ${node}: ${reason}`))),
  ]
}

/** `sessions: 12 held for 180 ms at most, 10 moved, 2 closed (in-transaction 1, temporary-table 1)`. */
function sessionsText({ held, moved, cut, longestHoldMs, unheard }: SessionsSummary): string {
  const reasons = Object.entries(cut).filter(([, count]) => count > 0)
  const lost = reasons.reduce((sum, [, count]) => sum + count, 0)
  const why = reasons.map(([reason, count]) => `${reason} ${count}`).join(', ')
  const waited = held === 0 ? 'none held' : `${held} held for ${formatDuration(longestHoldMs)} at most`
  const silent = unheard.length === 0 ? '' : `; no report from the balancers of ${unheard.join(', ')}`
  return `sessions: ${waited}, ${moved} moved, ${lost} closed${lost === 0 ? '' : ` (${why})`}${silent}`
}
