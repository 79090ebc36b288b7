/**
 * What it costs when nothing happens, and whether a large cluster starts at all. A shape is NODESxSERVICES: half of the services are
 * http() with two instances, the others single workers (active-passive). For each shape: how long until every service is
 * healthy, how many lease holders the fences killed and how many leads changed hands until then. Then it is left alone,
 * and for each kind of process: the share of one core (user and system time by /proc/PID/stat), resident memory, and what was written
 * (write_bytes of /proc/PID/io: pages that were made dirty, whether synced or not), for all processes of Understudy together per hour.
 *
 *   npm run -s build && node bench/idle.mjs [SECONDS] [SHAPE ...]        default: 60 3x3 5x20
 *   npm run -s build && node bench/idle.mjs 60 7x50                      takes 4 GB of memory
 *
 * Exit code 1 when more is needed than is promised: an agent 3 % of a core and 120 MB, all together 20 MB written per hour; or when a
 * shape is not healthy after five minutes.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { compileCluster } from '../dist/config/compile.js'
import { command, defineCluster, http } from '../dist/index.js'
import { startLocal } from '../dist/local/start-cluster.js'
import { whenInterrupted } from './interrupted.mjs'

const [SECONDS, SHAPES] = asked(process.argv.slice(2))
const SETTLE_MS = 10_000
const HEALTHY_WITHIN_MS = 300_000
const MOST = { core: 0.03, rssBytes: 120e6, bytesPerHour: 20e6 }
/** Of the kernel's clock in /proc/PID/stat: 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100
/** A small program that answers: Node, as applications are. A worker does nothing at all. */
const WEB =
  "import { createServer } from 'node:http'\ncreateServer((_, response) => response.end('ok')).listen(process.env.PORT, process.env.HOST)\n"

for (const [nodes, services] of SHAPES) await measure(nodes, services)

async function measure(nodes, services) {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-idle-'))
  writeFileSync(join(folder, 'web.mjs'), WEB)
  let cluster
  const end = async () => {
    await cluster?.kill()
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }
  const goOn = whenInterrupted(end)
  try {
    const startedAt = performance.now()
    const stateDir = join(folder, 'state')
    cluster = await startLocal({ spec: specOf(nodes, services, folder), stateDir, version: 'bench' })
    const status = await healthy(cluster)
    tellStart(`${nodes} nodes, ${services} services`, performance.now() - startedAt, cluster, status)
    if (status.isHealthy) await tellIdle(status)
    tellFenced('in all', cluster)
  } finally {
    goOn()
    await end()
  }
}

function specOf(nodes, services, folder) {
  const prefix = `127.${100 + Math.floor(Math.random() * 100)}.7`
  const run = ['node', join(folder, 'web.mjs')]
  const web = (index) => http({ run, instances: 2, listen: 8_100 + index })
  const worker = () => command({ run: ['sleep', 'infinity'], redundancy: 'active-passive', instances: 2 })
  const named = (kind, count, make) => Array.from({ length: count }, (_, n) => [`${kind}${n + 1}`, make(n)])
  const workers = Math.floor(services / 2)
  return compileCluster(
    defineCluster({
      name: 'idle',
      nodes: Object.fromEntries(
        Array.from({ length: nodes }, (_, n) => ['abcdefghij'[n], { address: `${prefix}.${11 + n}` }]),
      ),
      services: Object.fromEntries([...named('web', services - workers, web), ...named('worker', workers, worker)]),
    }),
  ).spec
}

/** The status once every service and every process of ours is there, or the last one when that does not come about. */
async function healthy(cluster) {
  const deadline = performance.now() + HEALTHY_WITHIN_MS
  let status
  for (;;) {
    status = (await cluster.client.status().catch(() => undefined)) ?? status
    const isUp = status?.nodes.every(({ balancerPid, fencePid }) => balancerPid && fencePid)
    const isHealthy = isUp && status.services.every((one) => one.healthy)
    if (isHealthy || performance.now() > deadline) return { ...status, isHealthy }
    await pause(250)
  }
}

function tellStart(shape, tookMs, cluster, { isHealthy, services = [] }) {
  const load = `load of the machine ${loadavg()[0].toFixed(1)}`
  if (isHealthy) console.log(`${shape}: healthy after ${(tookMs / 1_000).toFixed(1)} s; ${load}`)
  else {
    const well = services.filter((one) => one.healthy).length
    console.log(`${shape}: NOT HEALTHY after ${(tookMs / 1_000).toFixed(0)} s (${well} services are); ${load}`)
    process.exitCode = 1
  }
  tellFenced('until then', cluster)
}

/** What the fences wrote down, and how often a lead was won. */
function tellFenced(when, cluster) {
  const fenced = countIn(cluster, 'fence.log', /"event":"fenced"/g)
  const won = countIn(cluster, 'events.ndjson', /won term \d+/g)
  const first = countIn(cluster, 'events.ndjson', /won term 1 of/g)
  console.log(`  ${when}: ${fenced} killed by a fence, ${won - first} leads changed hands`)
}

function countIn({ spec, state }, file, pattern) {
  const texts = spec.nodes.flatMap(({ name }) =>
    readdirSync(state.node(name))
      .filter((found) => found === file)
      .map(() => readFileSync(join(state.node(name), file), 'utf8')),
  )
  return texts.reduce((sum, text) => sum + (text.match(pattern)?.length ?? 0), 0)
}

async function tellIdle(status) {
  await pause(SETTLE_MS)
  const processes = status.nodes.flatMap(({ name, agentPid, balancerPid, fencePid }) => [
    { node: name, what: 'agent', pid: agentPid },
    { node: name, what: 'balancer', pid: balancerPid },
    { node: name, what: 'fence', pid: fencePid },
  ])
  const before = processes.map(({ pid }) => figuresOf(pid))
  const startedAt = performance.now()
  await pause(SECONDS * 1_000)
  const seconds = (performance.now() - startedAt) / 1_000
  const rows = processes.map(({ node, what, pid }, index) => {
    const now = figuresOf(pid)
    const core = (now.cpuSeconds - before[index].cpuSeconds) / seconds
    const perHour = ((now.written - before[index].written) / seconds) * 3_600
    return { node, what, core, perHour, rssBytes: now.rssBytes }
  })
  console.log(`  idle for ${seconds.toFixed(0)} s; load of the machine ${loadavg()[0].toFixed(1)}`)
  console.log('  process    % of a core (worst)  RSS in MB (worst)  MB written per hour (all)')
  for (const what of ['agent', 'balancer', 'fence']) {
    const those = rows.filter((row) => row.what === what)
    const core = Math.max(...those.map((row) => row.core))
    const rssBytes = Math.max(...those.map((row) => row.rssBytes))
    const perHour = those.reduce((sum, row) => sum + row.perHour, 0)
    const isTooMuch = what === 'agent' && (core > MOST.core || rssBytes > MOST.rssBytes)
    const figures = [(core * 100).toFixed(2).padStart(19), (rssBytes / 1e6).toFixed(0).padStart(17), inMb(perHour)]
    console.log(`  ${what.padEnd(9)}  ${figures.join('  ')}${isTooMuch ? '  too much' : ''}`)
    if (isTooMuch) process.exitCode = 1
  }
  const all = rows.reduce((sum, row) => sum + row.perHour, 0)
  const isTooMuch = all > MOST.bytesPerHour
  console.log(`  together   ${' '.repeat(38)}  ${inMb(all).trimStart().padStart(24)}${isTooMuch ? '  too much' : ''}`)
  if (isTooMuch) process.exitCode = 1
}

function inMb(bytes) {
  return (bytes / 1e6).toFixed(1).padStart(25)
}

function figuresOf(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ')
  const number = (file, pattern) => Number(pattern.exec(readFileSync(`/proc/${pid}/${file}`, 'utf8'))[1])
  return {
    cpuSeconds: (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND,
    rssBytes: number('status', /VmRSS:\s+(\d+)/) * 1_024,
    written: number('io', /^write_bytes: (\d+)/m),
  }
}

function asked([seconds, ...shapes]) {
  const given = shapes.length > 0 ? shapes : ['3x3', '5x20']
  return [Number(seconds ?? 60), given.map((shape) => shape.split('x').map(Number))]
}
