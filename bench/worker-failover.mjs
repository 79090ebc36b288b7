/**
 * How long a single writer is away when its process is killed: three nodes, `command()` as active-passive with three instances, kill -9 of
 * the process that runs. Measured in the log that each run signs every 2 ms: from the last line of one run to the first of the next.
 *
 *   npm run bench:worker -- [--runs 20] [--dist DIR,DIR] [--run COMMAND]
 *
 * Default: the build of this folder, and test/real/programs/signing-worker.mjs. Another command signs the same lines
 * ("MONO_MS PID NODE TERM" in $DATA/worker.log); one that starts faster than Node shows more of what Understudy itself takes.
 *
 * With several builds their clusters stand side by side, and the process of each is killed in turns: whatever else the
 * machine does hits all of them alike. Only the command line is used, so builds of any age can be compared.
 * Exit code 1 when two runs overlap, or a next run does not come within 30 s.
 */
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { percentile } from './failover/figures.mjs'
import { addresses, until } from './failover/machine.mjs'
import { whenInterrupted } from './interrupted.mjs'

const HERE = fileURLToPath(new URL('..', import.meta.url))
/** Between two kills of one build: longer than the spell of health after which a death is forgiven (drivers/restart-backoff.ts). */
const HEALTHY_FOR_MS = 3_000
const BACK_WITHIN_MS = 30_000

const { values: asked } = parseArgs({
  options: {
    runs: { type: 'string', default: '20' },
    dist: { type: 'string', default: join(HERE, 'dist') },
    run: { type: 'string', default: `node ${join(HERE, 'test/real/programs/signing-worker.mjs')}` },
  },
})
const runs = Number(asked.runs)
const builds = asked.dist.split(',').map((dist) => resolve(dist))
if (!Number.isInteger(runs) || runs < 1 || runs > 1_000) {
  console.error('--runs takes a number from 1 to 1000')
  process.exit(2)
}

const clusters = builds.map((dist) => new Cluster(dist))
const end = () => Promise.all(clusters.map((cluster) => cluster.end()))
const goOn = whenInterrupted(end)
try {
  for (const cluster of clusters) await cluster.start()
  for (let run = 0; run < runs; run += 1) for (const cluster of clusters) await cluster.lose()
} finally {
  goOn()
  await end()
}
console.log(`kill -9 of a single writer, ${runs} runs; load of the machine ${loadavg()[0].toFixed(1)}`)
for (const { dist, gaps, moved } of clusters) {
  const [p50, worst] = [percentile(gaps, 0.5), percentile(gaps, 1)].map((ms) => ms.toFixed(0))
  console.log(`  p50 ${p50} ms, worst ${worst} ms; ${moved} of ${runs} on another node: ${dist}`)
}

function Cluster(dist) {
  const main = join(dist, 'cli/main.js')
  const folder = mkdtempSync(join(tmpdir(), 'understudy-worker-'))
  const [state, data, config] = ['state', 'data', 'understudy.config.json'].map((name) => join(folder, name))
  const cli = (...words) =>
    new Promise((done) => {
      const child = spawn(process.execPath, [main, ...words, '--state', state], { stdio: 'ignore' })
      child.once('exit', done)
    })
  /** Of the last run that signed: its last line. */
  const last = () => {
    const line = signed(join(data, 'worker.log')).at(-1)
    if (!line) throw new Error(`nothing has signed with ${dist}`)
    return line
  }
  let up

  this.dist = dist
  this.gaps = []
  this.moved = 0
  this.start = async () => {
    mkdirSync(data)
    const nodes = Object.fromEntries(addresses().map((address, index) => ['abc'[index], { address }]))
    const options = { run: asked.run, redundancy: 'active-passive', instances: 3, env: { DATA: data } }
    const worker = { kind: 'command', options }
    writeFileSync(config, JSON.stringify({ name: 'bench', nodes, services: { worker } }))
    up = spawn(process.execPath, [main, 'up', config, '--state', state], { stdio: ['ignore', 'ignore', 'inherit'] })
    await until(`a single writer runs with ${dist}`, () => signed(join(data, 'worker.log')).length > 0)
  }
  this.lose = async () => {
    await pause(HEALTHY_FOR_MS / clusters.length)
    const before = last()
    process.kill(before.pid, 'SIGKILL')
    await until(`another run with ${dist}`, () => last().pid !== before.pid, BACK_WITHIN_MS)
    const lines = signed(join(data, 'worker.log'))
    const first = lines.findIndex(
      ({ term, pid }) => pid !== before.pid && term >= before.term && pid === lines.at(-1).pid,
    )
    const [ended, begun] = [lines.findLast(({ pid }) => pid === before.pid), lines[first]]
    if (ended.at > begun.at) throw new Error(`two runs at once with ${dist}`)
    this.gaps.push(begun.at - ended.at)
    if (begun.node !== ended.node) this.moved += 1
  }
  this.end = async () => {
    if (up) {
      await cli('down')
      up.kill()
    }
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }
}

function signed(file) {
  let text
  try {
    text = readFileSync(file, 'utf8')
  } catch {
    return [] // nothing has run yet
  }
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => {
      const [at, pid, node, term] = line.split(' ')
      return { at: Number(at), pid: Number(pid), node, term: Number(term) }
    })
}
