/** Weaknesses with their remedies, and what it all comes to in a year. */
import { formatDuration } from '../../lib/duration.ts'
import type { Weakness } from '../../whatif/weaknesses/index.ts'
import type { Availability, FullReport } from '../../whatif/whatif.ts'
import type { Io } from '../io.ts'
import { clip, tableLines, wrapped } from './columns.ts'

/** The width at which sentences are broken, also without a terminal: a report is pasted into tickets. */
export const TEXT_WIDTH = 100

export function weaknessLines(io: Io, { weaknesses }: Pick<FullReport, 'weaknesses'>): string[] {
  const title = io.paint.bold('Single points of failure')
  if (weaknesses.length === 0) return [title, 'None was found.']
  return [
    title,
    ...weaknesses.flatMap((one) => [
      ...wrapped(headLine(io, one), TEXT_WIDTH, '    '),
      ...wrapped(`    ${io.paint.dim('→')} ${one.change}`, TEXT_WIDTH, '      '),
    ]),
  ]
}

function headLine({ paint }: Io, { name, severity, what }: Weakness): string {
  const color = { outage: paint.red, objective: paint.red, risk: paint.yellow, note: paint.dim }[severity]
  return `  ${color(severity)}  ${paint.bold(name)}  ${what}`
}

/** For `up`: what one failure is enough for, in a few lines. */
export function warningLines(io: Io, weaknesses: readonly Weakness[], most: number): string[] {
  const serious = weaknesses.filter(({ severity }) => severity === 'outage' || severity === 'objective')
  if (serious.length === 0) return []
  const shown = serious
    .slice(0, most)
    .map(({ what, change }) => clip(io, `${io.paint.yellow('weak:')} ${what} → ${change}`))
  const rest = serious.length > most ? `${serious.length - most} more; ` : ''
  return [...shown, `${rest}“understudy whatif” says what each failure would do.`]
}

export function availabilityLines(io: Io, { availability, machine, rates }: FullReport): string[] {
  const title = io.paint.bold('Expected availability')
  if (availability.length === 0) return [title, 'Not worked out: too many nodes.']
  const rows = availability.map((one) => [
    one.service,
    String(one.instances),
    percent(one.share),
    ninesText(one.nines),
    yearly(one.awayMsPerYear),
    yearly(one.outageMsPerYear),
    yearly(one.pauseMsPerYear),
    other(one.fewer),
    other(one.more),
  ])
  const columns = [
    { title: 'SERVICE' },
    ...['INSTANCES', 'SERVED', 'NINES', 'DOWNTIME/YEAR', 'OUTAGES', 'PAUSES', 'WITH ONE LESS', 'WITH ONE MORE'].map(
      (name) => ({
        title: name,
        align: 'right' as const,
      }),
    ),
  ]
  const [day, hour] = [86_400_000, 3_600_000]
  const said = `Rates (--mtbf-node, …): a node fails every ${rates.mtbfNodeMs / day} days for ${rates.mttrNodeMs / hour} h, a zone every ${rates.mtbfZoneMs / day} days for ${rates.mttrZoneMs / hour} h, a program every ${rates.mtbfProcessMs / day} days.`
  const cap =
    machine === null
      ? []
      : [
          `That is with each node a machine of its own. On one machine nothing is served more than ${percent(machine)} of the time.`,
        ]
  return [
    title,
    ...tableLines(io, columns, rows),
    ...[said, ...cap].flatMap((line) => wrapped(line, TEXT_WIDTH, '')).map((line) => io.paint.dim(line)),
  ]
}

function other(one: Availability['more']): string {
  return one === null ? '' : yearly(one.awayMsPerYear)
}

function yearly(ms: number): string {
  if (ms < 1) return '0'
  return formatDuration(ms)
}

function percent(share: number): string {
  const digits = Math.min(7, Math.max(2, Math.ceil(-Math.log10(Math.max(1e-9, 1 - share)))))
  // Never rounded up to what it is not.
  const scale = 10 ** digits
  return `${(Math.floor(share * 100 * scale) / scale).toFixed(digits)} %`
}

/** More than nine would be a claim about the model, not about a cluster. */
function ninesText(nines: number): string {
  return nines >= 9 ? '> 9' : (Math.floor(nines * 10) / 10).toFixed(1)
}
