/**
 * `node dist/sim/main.js --seeds N [--from S] [--cores C] [--until-broken] [--database]` or `--seed S [--trace] [--shrink]`: a thin
 * entry until the CLI has one of its own. Exit code 1 when a promise was broken.
 */
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { formatDuration } from '../lib/duration.ts'
import { describeFault } from './faults.ts'
import { runSim } from './many.ts'
import { runSeed } from './run.ts'
import { describeShrunk, shrink } from './shrink.ts'
import type { Summary } from './summary.ts'
import type { Happened } from './world.ts'

const PROGRESS_EVERY_MS = 2_000

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1000' },
    from: { type: 'string', default: '1' },
    cores: { type: 'string' },
    'until-broken': { type: 'boolean', default: false },
    seed: { type: 'string' },
    database: { type: 'boolean', default: false },
    trace: { type: 'boolean', default: false },
    shrink: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
})

const about = values.database ? 'database' : 'processes'

process.exitCode = values.seed === undefined ? await many() : await one(Number(values.seed))

async function one(seed: number): Promise<number> {
  const verdict = await runSeed({ seed, about, ...(values.trace && { onHappened: tell }) })
  console.log(`seed ${seed}: hash ${verdict.hash}, ${verdict.steps} steps, ${verdict.failovers} failovers`)
  if (!values.trace) for (const fault of verdict.faults) console.log(`  ${describeFault(fault)}`)
  for (const sentence of verdict.broken) console.log(`  BROKEN ${sentence}`)
  const shrunk = values.shrink ? await shrink(seed, about) : undefined
  if (shrunk) console.log(describeShrunk(shrunk))
  return verdict.broken.length > 0 ? 1 : 0
}

function tell({ atMs, node, what }: Happened): void {
  const text = typeof what === 'string' ? what : `${what.kind.padEnd(7)} ${what.rule.padEnd(20)} ${what.why}`
  console.log(`${atMs.toFixed(1).padStart(9)} ms  ${node.padEnd(5)}  ${text}`)
}

async function many(): Promise<number> {
  const seeds = Number(values.seeds)
  const cores = Number(values.cores ?? availableParallelism())
  const ending = new AbortController()
  process.once('SIGINT', () => ending.abort())
  const began = performance.now()
  const cpu = process.cpuUsage()
  let told = began
  const sum = await runSim({
    seeds,
    about,
    cores,
    from: Number(values.from),
    untilBroken: values['until-broken'],
    signal: ending.signal,
    onProgress(sofar) {
      if (performance.now() - told < PROGRESS_EVERY_MS || values.json) return
      told = performance.now()
      const rate = sofar.seeds / (told - began)
      const left = formatDuration((seeds - sofar.seeds) / rate)
      console.log(
        `${sofar.seeds} seeds, ${(rate * 1_000).toFixed(0)} a second, ${left} left, ${sofar.broken.length} broken`,
      )
    },
  })
  const { user, system } = process.cpuUsage(cpu)
  if (values.json) console.log(JSON.stringify(sum))
  else print(sum, performance.now() - began, (user + system) / 1_000)
  return sum.broken.length > 0 ? 1 : 0
}

function print(sum: Summary, ms: number, cpuMs: number): void {
  const counts = (record: Readonly<Record<string, number>>) =>
    Object.entries(record)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, count]) => `${name} ${count}`)
      .join(', ')
  console.log(`faults injected: ${counts(sum.faults)}`)
  console.log(`rules told: ${counts(sum.rules)}`)
  for (const { seed, sentence } of sum.broken.slice(0, 20)) console.log(`seed ${seed}: ${sentence}`)
  const each = `${(ms / sum.seeds).toFixed(1)} ms each (${(cpuMs / sum.seeds).toFixed(1)} ms of processor)`
  const settled = `settled at most ${formatDuration(sum.slowestToSettleMs)} after healing`
  console.log(
    `${sum.seeds} seeds, ${sum.broken.length} broken, ${sum.failovers} changes of primary, ${settled}; ${((sum.seeds / ms) * 1_000).toFixed(0)} seeds a second, ${each}, ${(sum.virtualMs / ms).toFixed(0)} times as fast as time; hash ${sum.hash}`,
  )
  if (sum.broken[0]) console.log(`to repeat: --seed ${sum.broken[0].seed} --trace, or --shrink`)
}
