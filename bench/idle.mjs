/**
 * What it costs when nothing happens: a cluster of 3 nodes and 3 services (an http() service with three instances, one with
 * two, a single worker), left alone for a minute. For each agent, balancer and fence: the share of one core that it used (user
 * and system time by /proc/PID/stat) and its resident memory at the end. Exit code 1 when an agent needs more than
 * is promised: 3 % of a core, 120 MB.
 *
 *   npm run -s build && node bench/idle.mjs [SECONDS]
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { compileCluster } from '../dist/config/compile.js'
import { command, defineCluster, http } from '../dist/index.js'
import { startLocal } from '../dist/local/start-cluster.js'
import { whenInterrupted } from './interrupted.mjs'

const SECONDS = Number(process.argv[2] ?? 60)
const SETTLE_MS = 10_000
const MOST = { core: 0.03, rssBytes: 120e6 }
/** Of the kernel's clock in /proc/PID/stat: 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100

const folder = mkdtempSync(join(tmpdir(), 'understudy-idle-'))
const prefix = `127.${100 + Math.floor(Math.random() * 100)}.7`
writeFileSync(
  join(folder, 'web.mjs'),
  "import { createServer } from 'node:http'\ncreateServer((_, response) => response.end('ok')).listen(process.env.PORT, process.env.HOST)\n",
)
writeFileSync(join(folder, 'worker.mjs'), 'setInterval(() => {}, 60_000)\n')
const run = (script) => ['node', join(folder, script)]
const { spec } = compileCluster(
  defineCluster({
    name: 'idle',
    nodes: Object.fromEntries(['a', 'b', 'c'].map((name, index) => [name, { address: `${prefix}.${11 + index}` }])),
    services: {
      web: http({ run: run('web.mjs'), instances: 3, listen: 8080 }),
      pair: http({ run: run('web.mjs'), instances: 2, listen: 8081 }),
      worker: command({ run: run('worker.mjs'), redundancy: 'active-passive', instances: 2 }),
    },
  }),
)

const end = async () => {
  await cluster?.kill()
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
}
let cluster
const goOn = whenInterrupted(end)
cluster = await startLocal({ spec, stateDir: join(folder, 'state'), version: 'bench' })
try {
  const status = await healthy()
  await pause(SETTLE_MS)
  const processes = status.nodes.flatMap(({ name, agentPid, balancerPid, fencePid }) => [
    { node: name, what: 'agent', pid: agentPid },
    { node: name, what: 'balancer', pid: balancerPid },
    { node: name, what: 'fence', pid: fencePid },
  ])
  const before = processes.map(({ pid }) => cpuSeconds(pid))
  const startedAt = performance.now()
  await pause(SECONDS * 1_000)
  const seconds = (performance.now() - startedAt) / 1_000
  console.log(`3 nodes, 3 services, idle for ${seconds.toFixed(0)} s; load of the machine ${loadavg()[0].toFixed(1)}`)
  console.log('node  process   % of a core  RSS in MB')
  for (const [index, { node, what, pid }] of processes.entries()) {
    const core = (cpuSeconds(pid) - before[index]) / seconds
    const bytes = rssBytes(pid)
    const figures = `${(core * 100).toFixed(2).padStart(11)}  ${(bytes / 1e6).toFixed(0).padStart(9)}`
    const isTooMuch = what === 'agent' && (core > MOST.core || bytes > MOST.rssBytes)
    console.log(`${node.padEnd(4)}  ${what.padEnd(8)}  ${figures}${isTooMuch ? '  too much' : ''}`)
    if (isTooMuch) process.exitCode = 1
  }
} finally {
  goOn()
  await end()
}

/** The status once every service and every process of ours is there. */
async function healthy() {
  const deadline = performance.now() + 60_000
  while (performance.now() < deadline) {
    const status = await cluster.client.status().catch(() => undefined)
    const isUp = status?.nodes.every(({ balancerPid, fencePid }) => balancerPid && fencePid)
    if (isUp && status.services.every((one) => one.healthy)) return status
    await pause(100)
  }
  throw new Error('the cluster did not become healthy')
}

function cpuSeconds(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

function rssBytes(pid) {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) * 1_024
}
