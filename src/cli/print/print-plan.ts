/** The plan of a change, as an operator reads it before saying yes. */
import type { ConfigPlan, InstancePlan, ServicePlan } from '../../core/config-plan.ts'
import type { Weakness } from '../../whatif/weaknesses/index.ts'
import type { Io } from '../io.ts'
import { type Column, tableLines, wrapped } from './columns.ts'
import { TEXT_WIDTH } from './whatif-parts.ts'

export interface PlannedChange {
  readonly cluster: string
  /** The config that holds. */
  readonly from: number
  readonly plan: ConfigPlan
  readonly isEmpty: boolean
  /** Sentences; empty when it may be done. */
  readonly refused: readonly string[]
  /** What `whatif` says of the new config and not of the one that holds; null where it was not asked. */
  readonly whatif: WhatIfChange | null
}

export interface WhatIfChange {
  readonly added: readonly Weakness[]
  readonly gone: readonly Weakness[]
  readonly missed: readonly { readonly service: string; readonly by: string; readonly why: string }[]
}

const HOW: Readonly<Record<ServicePlan['change'], string>> = {
  nothing: 'nothing',
  reload: 'no restart',
  'reload-or-restart': 'reload, or a restart where the server asks for it',
  instances: 'instances',
  restart: 'rolling restart',
  new: 'new',
  removed: 'removed',
}

const COLUMNS: readonly Column[] = [{ title: 'SERVICE' }, { title: 'CHANGE' }, { title: 'NODES' }, { title: 'WHAT' }]

export function planLines(io: Io, change: PlannedChange): string[] {
  const { plan, from, cluster, isEmpty } = change
  if (isEmpty) return [`${io.paint.bold(cluster)} runs with this config (number ${from}): there is nothing to do.`]
  const changing = plan.services.filter((service) => service.change !== 'nothing')
  const same = plan.services.filter((service) => service.change === 'nothing').map(({ service }) => service)
  const rows = changing.map((one) => [one.service, colored(io, one), placesText(one), whatText(one)])
  return [
    `${io.paint.bold(cluster)}: config ${from} → ${from + 1}`,
    ...(rows.length > 0 ? ['', ...tableLines(io, COLUMNS, rows)] : []),
    ...(same.length > 0 ? [io.paint.dim(`Nothing changes for ${same.join(', ')}.`)] : []),
    ...nodeLines(io, plan),
    ...plan.cluster.map((what) => `The cluster: ${what}.`),
    ...whatifLines(io, change.whatif),
    ...refusalLines(io, change.refused),
  ]
}

function colored({ paint }: Io, { change }: ServicePlan): string {
  const text = HOW[change]
  if (change === 'removed') return paint.red(text)
  return change === 'restart' || change === 'reload-or-restart' ? paint.yellow(text) : paint.green(text)
}

/** In the order in which it happens: `b, c restart, then a: switchover, restart`. */
function placesText({ instances }: ServicePlan): string {
  const nodes = (wanted: InstancePlan['change']) =>
    instances.filter(({ change }) => change === wanted).map(({ node }) => node)
  const said = (wanted: InstancePlan['change'], text: (names: string) => string) => {
    const names = nodes(wanted)
    return names.length === 0 ? [] : [text(names.join(', '))]
  }
  const moves = instances.flatMap(({ node, to }) => (to === undefined ? [] : [`${node} → ${to}`]))
  return [
    ...said('new', (names) => `new on ${names}`),
    ...moves,
    ...said('restart', (names) => `restart ${names}`),
    ...said('switchover-restart', (names) => `switchover, then restart ${names}`),
    ...said('reload', (names) => names),
    ...said('reload-or-restart', (names) => names),
    ...said('ends', (names) => `ends on ${names}`),
  ].join('; ')
}

function whatText({ change, what }: ServicePlan): string {
  if (change === 'removed') return 'its data is kept'
  return what.join(', ')
}

function nodeLines(io: Io, { nodes }: ConfigPlan): string[] {
  const named = (wanted: 'new' | 'removed') => nodes.filter(({ change }) => change === wanted).map(({ node }) => node)
  const [added, removed] = [named('new'), named('removed')]
  return [
    ...(added.length > 0 ? [`New nodes: ${io.paint.green(added.join(', '))}.`] : []),
    ...(removed.length > 0
      ? [`Removed nodes: ${io.paint.red(removed.join(', '))}. Each hands over what it has, then ends.`]
      : []),
  ]
}

function whatifLines(io: Io, whatif: WhatIfChange | null): string[] {
  if (!whatif) return []
  const { added, gone, missed } = whatif
  const lines = [
    ...added.map(({ severity, what, change }) => `  ${io.paint.yellow(`new ${severity}:`)} ${what} → ${change}`),
    ...missed.map(
      ({ service, by, why }) => `  ${io.paint.red('objective missed:')} ${service}, when ${by} fails: ${why}`,
    ),
    ...gone.map(({ severity, what }) => `  ${io.paint.green(`no longer ${severity}:`)} ${what}`),
  ].flatMap((line) => wrapped(line, TEXT_WIDTH, '    '))
  return lines.length === 0 ? [] : ['', io.paint.bold('What a failure would do'), ...lines]
}

function refusalLines(io: Io, refused: readonly string[]): string[] {
  if (refused.length === 0) return []
  return ['', io.paint.red('Refused'), ...refused.flatMap((why) => wrapped(`  ${why}`, TEXT_WIDTH, '    '))]
}
