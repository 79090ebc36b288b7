/**
 * What each failure would do to a config, before it happens. Everything is computed here, on this machine; a cluster that
 * runs from this config is asked for what it is now: who leads, where replicas are, how many instances are wanted, and what its
 * receipts measured.
 */
import type { Command } from 'commander'
import type { ClusterSpec } from '../../core/model.ts'
import { UnderstudyError } from '../../errors.ts'
import { nearest } from '../../lib/nearest.ts'
import type { FullReport, Question, WhatIf } from '../../whatif/whatif.ts'
import { type CommonOptions, openSession } from '../cluster-session.ts'
import type { Io } from '../io.ts'
import { configRoom, whatifRoom } from '../lazy-rooms.ts'
import { killLines, reportLines } from '../print/print-whatif.ts'
import { jsonRow, reportJson } from '../print/whatif-json.ts'
import { runningQuestion } from '../running-facts.ts'
import { type AddCommand, clusterCommand, durationOption, printJson } from './command.ts'

interface WhatIfOptions extends CommonOptions {
  readonly kill?: string
  readonly pairs?: boolean
  readonly voters?: string
  readonly start?: number
  readonly fresh?: boolean
  readonly mtbfNode?: number
  readonly mttrNode?: number
  readonly mtbfZone?: number
  readonly mttrZone?: number
  readonly mtbfRegion?: number
  readonly mttrRegion?: number
  readonly mtbfProcess?: number
}

export const addWhatIf: AddCommand = (program, io, exit) => {
  const command = clusterCommand(
    program,
    'whatif',
    'say what each failure would do to a config, and how often',
    EXAMPLE,
  )
    .argument('[config]', 'the config, or a folder that holds one (default: understudy.config.ts here)')
    .option('--kill <names>', 'only these, all at once: a,b or zone:north or a.web or link:north:south or store')
    .option('--pairs', 'every pair of failures, also those that are no worse than a single failure')
    .option(
      '--voters <nodes>',
      'the voters of the store, or “one” for one store on one machine (default: by the addresses)',
    )
    .option('--fresh', 'from the config alone, also when the cluster runs here')
    .option('--start <duration>', 'how long a program takes to become healthy (default: 1s)', durationOption)
  addRates(command).action(async (path: string | undefined, options: WhatIfOptions) => {
    const config = await configRoom()
    const { file, raw } = await config.loadConfig(path)
    const { spec } = config.compileCluster(raw, { file })
    const { WhatIf } = await whatifRoom()
    const running = options.fresh ? {} : await askRunning(io, options, spec)
    const whatif = new WhatIf({ cluster: spec, ...running, ...questionOf(options, spec) })
    if (running.primaries && !options.json) for (const line of RUNNING) io.out(io.paint.dim(line))
    exit(options.kill === undefined ? tellAll(io, whatif, options) : await tellKill(io, whatif, options.kill, options))
  })
}

function addRates(command: Command): Command {
  const rates: readonly [string, string][] = [
    ['--mtbf-node <duration>', 'time between failures of a node (default: 180d)'],
    ['--mttr-node <duration>', 'time until a node is back (default: 4h)'],
    ['--mtbf-zone <duration>', 'time between failures of a zone (default: 730d)'],
    ['--mttr-zone <duration>', 'time until a zone is back (default: 4h)'],
    ['--mtbf-region <duration>', 'time between failures of a region (default: 3650d)'],
    ['--mttr-region <duration>', 'time until a region is back (default: 8h)'],
    ['--mtbf-process <duration>', 'time between failures of one program (default: 14d)'],
  ]
  for (const [flags, means] of rates) command.option(flags, means, durationOption)
  return command
}

function questionOf(options: WhatIfOptions, cluster: ClusterSpec): Omit<Question, 'cluster'> {
  const { start, mtbfNode, mttrNode, mtbfZone, mttrZone, mtbfRegion, mttrRegion, mtbfProcess } = options
  return {
    ...(options.voters !== undefined && { voters: votersOption(options.voters, cluster) }),
    ...(start !== undefined && { assumed: { startMs: start } }),
    rates: {
      ...(mtbfNode && { mtbfNodeMs: mtbfNode }),
      ...(mttrNode && { mttrNodeMs: mttrNode }),
      ...(mtbfZone && { mtbfZoneMs: mtbfZone }),
      ...(mttrZone && { mttrZoneMs: mttrZone }),
      ...(mtbfRegion && { mtbfRegionMs: mtbfRegion }),
      ...(mttrRegion && { mttrRegionMs: mttrRegion }),
      ...(mtbfProcess && { mtbfProcessMs: mtbfProcess }),
    },
  }
}

function votersOption(text: string, { nodes }: ClusterSpec): readonly string[] | null {
  if (text === 'one') return null
  const names = [...new Set(text.split(',').filter(Boolean))]
  const stranger = names.find((name) => !nodes.some((node) => node.name === name))
  if (stranger === undefined && names.length > 0) return names
  throw new UnderstudyError('UND_UNKNOWN_NODE', `--voters names “${stranger ?? ''}”; there are: ${listed(nodes)}`)
}

const listed = (items: readonly { readonly name: string }[]) => items.map(({ name }) => name).join(', ')

/** Who leads and what was measured, when this cluster runs here. No answer is no reason to say nothing. */
async function askRunning(io: Io, options: CommonOptions, spec: ClusterSpec): Promise<Partial<Question>> {
  try {
    const session = openSession(io, options)
    if (session.spec.name !== spec.name) return {}
    return await runningQuestion(session.client, spec)
  } catch (error) {
    if (error instanceof UnderstudyError && error.code !== 'UND_INTERNAL') return {}
    throw error
  }
}

const RUNNING = [
  'From the cluster that runs here: its primaries, where its replicas are, how many instances are wanted, and its receipts.',
  'Other placements are those of the config; “--fresh” answers from the config alone.',
]

/** 1 when an objective cannot be kept: a plan that does not do what it promises. */
function tellAll(io: Io, whatif: WhatIf, { json, pairs }: WhatIfOptions): number {
  const report: FullReport = whatif.fullReport({ everyPair: pairs === true })
  if (json) printJson(io, reportJson(report))
  else for (const line of reportLines(io, whatif, report)) io.out(line)
  return report.missed.length === 0 ? 0 : 1
}

async function tellKill(io: Io, whatif: WhatIf, kill: string, { json }: WhatIfOptions): Promise<number> {
  const { failureNamed, namesOf } = await whatifRoom()
  const { cluster } = whatif.inquiry.setting
  const failures = kill
    .split(',')
    .filter(Boolean)
    .map((name) => failureNamed(name, cluster) ?? name)
  const unknown = failures.find((failure) => typeof failure === 'string')
  if (unknown !== undefined || failures.length === 0) {
    const near = nearest(String(unknown ?? ''), namesOf(cluster))
    const hint = near ? `; did you mean “${near}”?` : ''
    const names = `write ${namesOf(cluster).join(', ')}, …`
    throw new UnderstudyError('UND_BAD_REQUEST', `nothing called “${unknown ?? ''}” can fail here${hint} (${names})`)
  }
  const row = whatif.row(failures.filter((failure) => typeof failure !== 'string'))
  if (json) printJson(io, jsonRow(row))
  else for (const line of killLines(io, whatif, row)) io.out(line)
  return row.outcomes.some(({ objective }) => objective === 'missed') ? 1 : 0
}

const EXAMPLE = `understudy whatif
understudy whatif --kill a,b
understudy whatif --mtbf-node 1000d --mttr-node 30m --start 5s`
