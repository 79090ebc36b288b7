/** Thousands of made-up disasters, or one of them told as a story. */
import { availableParallelism } from 'node:os'
import { InvalidArgumentError } from 'commander'
import type { ClusterSpec } from '../../core/model.ts'
import { FAULT_KINDS, type FaultKind } from '../../sim/fault-schedule.ts'
import type { About } from '../../sim/run-seed.ts'
import type { Summary } from '../../sim/summary.ts'
import type { Io } from '../io.ts'
import { configRoom, simRoom } from '../lazy-rooms.ts'
import { happenedLine, progressLine, summaryLines, verdictLines } from '../print/print-sim.ts'
import { type AddCommand, countOption, jsonCommand, printJson } from './command.ts'

interface SimCommandOptions {
  readonly seeds: number
  readonly from: number
  readonly seed?: number
  readonly config?: string
  readonly database?: boolean
  readonly applies?: boolean
  readonly faults?: readonly FaultKind[]
  readonly cores?: number
  readonly untilBroken?: boolean
  readonly trace?: boolean
  readonly shrink?: boolean
  readonly json?: boolean
}

function faultsOption(text: string): FaultKind[] {
  const named = text.split(',').map((name) => name.trim())
  const unknown = named.filter((name) => !FAULT_KINDS.includes(name as FaultKind))
  if (unknown.length > 0)
    throw new InvalidArgumentError(`there is no fault ${unknown.join(', ')}. There are: ${FAULT_KINDS.join(', ')}.`)
  return named as FaultKind[]
}

const PROGRESS_EVERY_MS = 2_000

export const addSim: AddCommand = (program, io, exit) => {
  jsonCommand(program, 'sim', 'run the agents through made-up disasters, each from a seed', EXAMPLE)
    .option('--seeds <count>', 'how many disasters', countOption, 1_000)
    .option('--from <seed>', 'the first seed', countOption, 1)
    .option('--config <file>', 'your own cluster; made up from each seed when absent')
    .option('--database', 'only worlds with a replicated database (default: every fourth)')
    .option('--applies', 'configs are applied while things fail: versions, services, nodes')
    .option('--faults <kinds>', 'only these kinds of faults, with commas', faultsOption)
    .option('--cores <count>', 'how many at a time (default: every core)', countOption)
    .option('--until-broken', 'stop at the first seed that breaks a promise')
    .option('--seed <seed>', 'this one only', countOption)
    .option('--trace', 'with --seed: tell it as a story')
    .option('--shrink', 'with --seed: find the fewest faults that still break the promise')
    .action(async (options: SimCommandOptions) => {
      const cluster = options.config === undefined ? undefined : await clusterOf(options.config)
      const { seed } = options
      exit(seed === undefined ? await runMany(io, options, cluster) : await runOne(io, options, seed, cluster))
    })
}

async function clusterOf(path: string): Promise<ClusterSpec> {
  const config = await configRoom()
  const { file, raw } = await config.loadConfig(path)
  return config.compileCluster(raw, { file }).spec
}

function aboutOf({ database = false }: SimCommandOptions): About {
  return database ? 'database' : 'mixed'
}

/** What decides, besides its number, which story a seed tells. */
function wordsOf({ database, applies, faults, config }: SimCommandOptions): string {
  const words = [
    database && '--database',
    applies && '--applies',
    faults && `--faults '${faults.join(',')}'`,
    config !== undefined && `--config ${config}`,
  ]
  return words.map((word) => (word ? ` ${word}` : '')).join('')
}

async function runOne(io: Io, options: SimCommandOptions, seed: number, cluster?: ClusterSpec): Promise<number> {
  const { runSeed, shrink, describeShrunk } = await simRoom()
  const tells = options.trace === true && !options.json
  const verdict = await runSeed({
    seed,
    about: aboutOf(options),
    applies: options.applies ?? false,
    ...(options.faults && { kinds: options.faults }),
    ...(cluster && { cluster }),
    ...(tells && { onHappened: (happened) => io.out(happenedLine(happened)) }),
  })
  if (options.json) printJson(io, verdict)
  else for (const line of verdictLines(verdict, !tells)) io.out(line)
  const shrunk =
    options.shrink && cluster === undefined ? await shrink(seed, aboutOf(options), options.applies) : undefined
  if (shrunk && !options.json) io.out(describeShrunk(shrunk))
  return verdict.broken.length > 0 ? 1 : 0
}

async function runMany(io: Io, options: SimCommandOptions, cluster?: ClusterSpec): Promise<number> {
  const { runSim } = await simRoom()
  const { seeds, from, cores = availableParallelism(), untilBroken = false, json } = options
  const ending = new AbortController()
  process.once('SIGINT', () => ending.abort()) // what was done until then is reported
  const began = performance.now()
  let told = began
  const onProgress = (sofar: Summary) => {
    if (json || performance.now() - told < PROGRESS_EVERY_MS) return
    told = performance.now()
    io.out(progressLine(sofar, seeds, told - began))
  }
  const sum = await runSim({
    seeds,
    about: aboutOf(options),
    applies: options.applies ?? false,
    ...(options.faults && { kinds: options.faults }),
    cores,
    from,
    untilBroken,
    signal: ending.signal,
    onProgress,
    ...(cluster && { cluster }),
  })
  if (json) printJson(io, sum)
  else for (const line of summaryLines(sum, performance.now() - began, wordsOf(options))) io.out(line)
  return sum.broken.length > 0 ? 1 : 0
}

const EXAMPLE = `understudy sim --seeds 10000
understudy sim --seeds 3000 --applies
understudy sim --seed 4711 --trace
understudy sim --config examples/shop --seeds 1000`
