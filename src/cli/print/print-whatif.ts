/** A report of imagined failures: what is felt first, what is not felt in one line. */
import { formatDuration } from '../../lib/duration.ts'
import type { Failure } from '../../whatif/failure.ts'
import type { Outcome } from '../../whatif/outcome.ts'
import type { Row } from '../../whatif/report-row.ts'
import type { FullReport, WhatIf } from '../../whatif/whatif.ts'
import type { Io } from '../io.ts'
import { type Column, clip, tableLines, wrapped } from './columns.ts'
import { availabilityLines, TEXT_WIDTH, weaknessLines } from './whatif-parts.ts'

/** What a table shows beside the service and what becomes of it: only what the config has. */
interface Shown {
  readonly lost: boolean
  readonly objectives: boolean
}

export function reportLines(io: Io, whatif: WhatIf, report: FullReport): string[] {
  const { bold } = io.paint
  const count = report.singles.length
  return [
    `${bold(report.cluster)}  ${count} single failures and ${report.pairs.asked} pairs`,
    ...calmLines(io, whatif),
    '',
    bold('One failure'),
    ...rowTable(io, whatif, report.singles),
    '',
    ...pairLines(io, whatif, report),
    '',
    ...weaknessLines(io, report),
    '',
    ...availabilityLines(io, report),
    '',
    ...assumedLines(io, whatif, report),
  ]
}

/** One failure, or several at once, and what the agents would do about it. */
export function killLines(io: Io, whatif: WhatIf, row: Row): string[] {
  const all = row.outcomes.flatMap(({ done }) => done).sort((a, b) => a.atMs - b.atMs)
  const steps = all.map(({ atMs, node, rule, step, why }) =>
    clip(io, `  ${formatDuration(atMs).padStart(7)}  ${node}  ${step.kind.padEnd(12)}  ${io.paint.dim(rule)}  ${why}`),
  )
  return [
    `${io.paint.bold(whatif.inquiry.setting.cluster.name)}  if ${labelOf(row.failures)} failed`,
    ...calmLines(io, whatif),
    '',
    ...serviceTable(io, whatif, row),
    '',
    ...(steps.length === 0 ? ['The agents would have nothing to do.'] : ['What the agents would do:', ...steps]),
  ]
}

function calmLines(io: Io, { inquiry }: WhatIf): string[] {
  const { cluster } = inquiry.setting
  const places = cluster.services.map(({ name, redundancy }) => {
    const nodes = (inquiry.standing().get(name) ?? []).join(', ')
    const primary = inquiry.primaryOf(name)
    return redundancy === 'active-passive' ? `primary of ${name}: ${primary ?? 'none'}` : `${name} on ${nodes}`
  })
  return wrapped(`before: ${places.join('; ')}`, TEXT_WIDTH, '  ').map((line) => io.paint.dim(line))
}

function shownFor({ inquiry }: WhatIf): Shown {
  const { services } = inquiry.setting.cluster
  return {
    lost: services.some(({ traits }) => traits.replicates),
    objectives: services.some(({ objectives }) => Object.keys(objectives).length > 0),
  }
}

function columnsFor({ lost, objectives }: Shown): Column[] {
  return [
    { title: 'SERVICE' },
    { title: 'THEN' },
    { title: 'BACK WITHIN', align: 'right' },
    ...(lost ? [{ title: 'WRITES LOST' }] : []),
    ...(objectives ? [{ title: 'OBJECTIVE' }] : []),
  ]
}

function rowTable(io: Io, whatif: WhatIf, rows: readonly Row[]): string[] {
  const shown = shownFor(whatif)
  const cells = grouped(io, whatif, rows, shown).flatMap(({ label, lines, kind, thin }) =>
    lines.length === 0
      ? [[label, '-', kind === 'balancer' ? balancerSentence(whatif) : `every service goes on${thin}`, '0']]
      : lines.map((line, index) => [index === 0 ? label : ' ', ...line]),
  )
  const width = columnsFor(shown).length + 1
  const padded = cells.map((row) => [...row, ...Array<string>(width - row.length).fill('')])
  return tableLines(io, [{ title: 'IF THIS FAILS' }, ...columnsFor(shown)], padded)
}

/** Failures of one kind that come to the same are one row. */
function grouped(io: Io, whatif: WhatIf, rows: readonly Row[], shown: Shown) {
  const groups = new Map<string, { kind: string; failures: Failure[][]; lines: string[][]; thin: string }>()
  for (const row of rows) {
    const kind = row.failures.map((failure) => failure.kind).join('+')
    const of = kind === 'instance' ? row.failures[0]?.label.split(' ')[0] : ''
    const felt = row.outcomes.filter((outcome) => isFelt(whatif, outcome))
    const lines = merged(felt.map((one) => cellsFor(io, whatif, one, shown)))
    const thin = lines.length === 0 ? thinSentence(row) : ''
    // A pair keeps a row of its own: “a or b and c or d” is no sentence.
    const key = row.failures.length > 1 ? `${groups.size}` : JSON.stringify([kind, of, lines, thin])
    const group = groups.get(key) ?? { kind, failures: [], lines, thin }
    group.failures.push([...row.failures])
    groups.set(key, group)
  }
  return [...groups.values()].map(({ failures, ...group }) => ({ ...group, label: alternatives(failures) }))
}

/** Replicas that cannot be replaced until something is back. */
function thinSentence({ outcomes }: Row): string {
  const thin = outcomes.filter(({ copies, wanted, primary }) => primary === null && copies < wanted)
  return thin.map(({ service, copies, wanted }) => `, ${service} with ${copies} of ${wanted}`).join('')
}

/** Services that come to the same are one line. */
function merged(lines: readonly string[][]): string[][] {
  const byRest = new Map<string, { services: string[]; rest: string[] }>()
  for (const [service = '', ...rest] of lines) {
    const one = byRest.get(JSON.stringify(rest)) ?? { services: [], rest }
    one.services.push(service)
    byRest.set(JSON.stringify(rest), one)
  }
  return [...byRest.values()].map(({ services, rest }) => [listed(services), ...rest])
}

const MOST_SERVICES = 2

function listed(names: readonly string[]): string {
  if (names.length <= MOST_SERVICES) return names.join(', ')
  return `${names.slice(0, MOST_SERVICES).join(', ')} +${names.length - MOST_SERVICES}`
}

const MOST_NAMED = 4

const LONGEST_LABEL = 30

/** `node b or c`, `link north–south, north–west or south–west`. */
function alternatives(failures: readonly (readonly Failure[])[]): string {
  const [first = '', ...rest] = failures.map((one) => labelOf(one))
  if (rest.length === 0) return first
  const words = first.split(' ')
  const stem = words.slice(0, -1).join(' ')
  const names = [first, ...rest].map((label) => label.split(' ').at(-1) ?? '')
  const all = `${stem} ${names.slice(0, -1).join(', ')} or ${names.at(-1)}`
  return all.length <= LONGEST_LABEL ? all : `${first} … (${names.length} alike)`
}

function labelOf(failures: readonly Failure[]): string {
  return failures.map(({ label }) => label).join(' and ')
}

/** Does a client notice? */
function isFelt({ inquiry }: WhatIf, { served, pauseMs, loss, order, primary, service }: Outcome): boolean {
  const moved = order.length > 0 && primary !== inquiry.primaryOf(service)
  return !served || (pauseMs ?? 1) > 0 || loss === 'possible' || loss === 'if-disks-are-gone' || moved
}

function serviceTable(io: Io, whatif: WhatIf, { outcomes }: Row): string[] {
  const shown = shownFor(whatif)
  return tableLines(
    io,
    columnsFor(shown),
    outcomes.map((outcome) => cellsFor(io, whatif, outcome, shown)),
  )
}

function cellsFor(io: Io, whatif: WhatIf, outcome: Outcome, { lost, objectives }: Shown): string[] {
  const { green, red, yellow } = io.paint
  const { pauseMs, pauseFrom, service, objective, loss } = outcome
  const back = pauseMs === null ? red('not back') : pauseMs === 0 ? '0' : formatDuration(pauseMs)
  const spec = whatif.inquiry.setting.cluster.services.find(({ name }) => name === service)
  const goal = spec?.objectives.rtoMs === undefined ? '' : formatDuration(spec.objectives.rtoMs)
  const losses = {
    'n/a': 'n/a',
    none: 'no',
    'if-disks-are-gone': yellow('if disks are gone'),
    possible: red('possible'),
  }
  const goals = { none: '', met: green(`kept ${goal}`.trim()), missed: red(`missed ${goal}`.trim()) }
  return [
    service,
    thenSentence(io, whatif, outcome),
    `${back}${pauseFrom === 'receipts' ? '*' : ''}`,
    ...(lost ? [losses[loss]] : []),
    ...(objectives ? [goals[objective]] : []),
  ]
}

function thenSentence({ paint }: Io, { inquiry }: WhatIf, outcome: Outcome): string {
  const { served, by, primary, order, stopsAfterMs, why, copies, wanted, service, balancers } = outcome
  if (!served && outcome.loss !== 'n/a') return `${paint.red('no writes')}: ${noWrites(outcome)}`
  if (outcome.alone)
    return `${primary} ${primary === inquiry.primaryOf(service) ? 'goes on' : 'takes over'} alone: ${paint.yellow('the last replica is the only one')}`
  if (!served) {
    const when = stopsAfterMs === null ? 'not served' : `stops after ${formatDuration(stopsAfterMs)}`
    return `${paint.red(when)}: ${why}`
  }
  if (primary === null) {
    const missing = copies < wanted ? paint.yellow(` (${copies} of ${wanted})`) : ''
    const closed = balancers !== null && balancers.length === 0 ? ', no endpoint' : ''
    return `${outcome.pauseMs === 0 ? 'goes on' : 'started again'} on ${by.join(', ')}${missing}${closed}`
  }
  const next = order.filter((node) => node !== primary)
  const behind = next.length > 0 ? `, then ${chain(next)}` : order.length > 0 ? ', no standby' : ''
  if (order.length === 0 || primary === inquiry.primaryOf(service)) return `${primary} stays primary${behind}`
  return `${primary} takes over${behind}`
}

/** In a few words; `--json` has the whole sentence. */
function noWrites({ primary, reads, why }: Outcome): string {
  if (why === 'the store is away' || why === 'no node is left') return why
  const led =
    primary === null
      ? 'too few replicas are left to elect a primary'
      : `${primary} is primary, and too few standbys confirm`
  return `${led}; ${reads === null ? 'no replica' : reads} serves reads`
}

function chain(names: readonly string[]): string {
  return names.length <= MOST_NAMED ? names.join(', ') : `${names.slice(0, MOST_NAMED - 1).join(', ')} …`
}

function balancerSentence({ inquiry }: WhatIf): string {
  return `others stay open, it is back after ${formatDuration(inquiry.setting.assumed.balancerBackMs)}`
}

/** Pairs that hurt are shown as far as a reader follows. */
const MOST_PAIRS = 30

function pairLines(io: Io, whatif: WhatIf, { pairs }: FullReport): string[] {
  const title = io.paint.bold('Two failures at once')
  if (pairs.all) return [title, ...rowTable(io, whatif, pairs.all)]
  const { asked, hurting, pausing } = pairs
  const table = hurting.length === 0 ? [] : rowTable(io, whatif, hurting.slice(0, MOST_PAIRS))
  const more = hurting.length > MOST_PAIRS ? [`… and ${hurting.length - MOST_PAIRS} more that hurt (--pairs).`] : []
  const most = formatDuration(pausing.mostMs)
  const pauses = pausing.count === 0 ? [] : [`${pausing.count} pairs add a pause of at most ${most} (--pairs).`]
  const harmless = asked - hurting.length - pausing.count
  return [title, ...table, ...more, ...pauses, `${harmless} of ${asked} pairs are no worse than a single failure.`]
}

function assumedLines(io: Io, whatif: WhatIf, { assumed, notModelled, singles }: FullReport): string[] {
  const { startMs, promoteMs, noticeMs } = assumed
  const measured = singles.some(({ outcomes }) => outcomes.some(({ pauseFrom }) => pauseFrom === 'receipts'))
  const lines = [
    `Times are upper bounds from the timing of the config. Assumed: a program is healthy ${formatDuration(startMs)} after its`,
    `start (--start), a warm standby is primary ${formatDuration(promoteMs)} after it is told, an ended process is seen within ${formatDuration(noticeMs)}.`,
    ...(measured
      ? [
          '* from the newest 20 receipts of the running cluster: the longest, without those of more than 5 times the median.',
        ]
      : []),
    ...(shownFor(whatif).lost
      ? []
      : ['No service replicates data here: what a program loses on its own disk is not judged.']),
    ...(notModelled.length > 0
      ? [`Left out, because this model does not know these steps: ${notModelled.join(', ')}.`]
      : []),
  ]
  return lines.map((line) => io.paint.dim(line))
}
