/**
 * The price of the PostgreSQL door, measured in one run: pgbench straight to a server, through PgBouncer in session mode,
 * through a bare relay in Node, and through the door, in turns, so that a noisy neighbour hits all of them. A ratio is taken
 * within each round, where neighbours in time are compared, and the median of the rounds is printed. Beside it: the processor
 * time of one transaction in the process in the middle, which says more on a machine that has other work to do.
 *
 *   npm run bench:postgres [-- --seconds 2 --rounds 9 --clients 1,8,50 --idle 500 --against DIST]
 *
 * `--against`: the `dist` folder of another build, whose door is measured in the same turns. `--calm 30`: each round waits until
 * the machine has nothing else to do, for so many seconds at most, and it is said how many rounds began without.
 * Needs PostgreSQL's server and pgbench; leaves PgBouncer out, and says so, when it is not installed.
 */
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { startupPacket } from '../dist/balancer/postgres/startup-packet.js'
import { binaries, Ways } from './door/ways.mjs'
import { whenInterrupted } from './interrupted.mjs'

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '9' },
    clients: { type: 'string', default: '1,8,50' },
    idle: { type: 'string', default: '500' },
    against: { type: 'string' },
    calm: { type: 'string', default: '0' },
  },
})
const LOADS = [
  { name: 'select only, simple', args: ['-S', '-M', 'simple'] },
  { name: 'select only, prepared', args: ['-S', '-M', 'prepared'] },
  { name: 'tpcb-like, simple', args: ['-M', 'simple'] },
  { name: 'tpcb-like, prepared', args: ['-M', 'prepared'] },
]

const bin = binaries()
if (bin === undefined) {
  console.log('left out: PostgreSQL with pgbench is not installed (apt-get install postgresql)')
  process.exit(0)
}
const ways = new Ways(bin)
const goOn = whenInterrupted(() => ways.end())
try {
  await main()
} finally {
  goOn()
  await ways.end()
}

async function main() {
  const direct = await ways.direct()
  const all = { direct, pgbouncer: await ways.pgbouncer(), relay: await ways.relay(), door: await ways.door() }
  if (values.against !== undefined) all.against = await ways.door(values.against)
  const present = Object.entries(all).filter(([, place]) => place !== undefined)
  await ways.pgbench(direct.port, ['-i', '-q', '-s', '50'])
  ways.checkpoint(direct.port)
  console.log(`${values.rounds} rounds of ${values.seconds} s each`)
  for (const clients of values.clients.split(',').filter(Boolean).map(Number)) {
    for (const { name, args } of LOADS) {
      const before = loadavg()[0]
      const rounds = await measureAll(present, args, clients)
      const hasty = rounds.filter(({ isCalm }) => !isCalm).length
      const noise = Number(values.calm) > 0 ? `, ${hasty} of ${rounds.length} rounds on a busy machine` : ''
      report(`${clients} ${clients === 1 ? 'client' : 'clients'}, ${name}, load ${before.toFixed(1)}${noise}`, rounds)
    }
  }
  if (Number(values.idle) > 0) for (const [way, place] of present) await reportIdle(way, place)
}

async function measureAll(present, args, clients) {
  const rounds = []
  for (let round = 0; round < Number(values.rounds); round++) {
    const measured = { isCalm: await calm(Number(values.calm)) }
    for (const [way, place] of present) measured[way] = await measure(place, args, clients)
    rounds.push(measured)
  }
  return rounds
}

async function measure({ port, pid }, args, clients) {
  const before = processorMicros(pid)
  const threads = ['-c', String(clients), '-j', String(Math.min(2, clients)), '-T', values.seconds]
  const out = await ways.pgbench(port, ['-n', ...threads, '-l', '--sampling-rate', '0.2', ...args])
  const done = Number(/transactions actually processed: (\d+)/.exec(out)?.[1])
  const rate = Number(/tps = ([\d.]+)/.exec(out)?.[1])
  return { rate, micros: (processorMicros(pid) - before) / done, ...latencies() }
}

/** Whether nearly nothing else ran for a fifth of a second, after waiting for that. */
async function calm(patienceS) {
  const until = Date.now() + patienceS * 1_000
  do {
    const before = cpuTicks()
    await new Promise((resolve) => setTimeout(resolve, 200))
    const after = cpuTicks()
    if ((after.idle - before.idle) / (after.all - before.all) > 0.85) return true
  } while (Date.now() < until)
  return false
}

/** Of all cores since the machine started, from the first line of /proc/stat; idle is the fourth figure. */
function cpuTicks() {
  const ticks = readFileSync('/proc/stat', 'utf8').split('\n')[0].trim().split(/\s+/).slice(1, 9).map(Number)
  return { idle: ticks[3], all: ticks.reduce((sum, tick) => sum + tick, 0) }
}

/** From pgbench's log of every fifth transaction: microseconds are in the third column. */
function latencies() {
  const logs = readdirSync(ways.folder).filter((name) => name.startsWith('pgbench_log.'))
  const all = logs.flatMap((name) => {
    const lines = readFileSync(join(ways.folder, name), 'utf8').trimEnd().split('\n')
    rmSync(join(ways.folder, name))
    return lines.map((line) => Number(line.split(' ')[2]))
  })
  const sorted = Float64Array.from(all).sort()
  return { p50: sorted[Math.floor(sorted.length * 0.5)], p99: sorted[Math.floor(sorted.length * 0.99)] }
}

/** What all threads of a process have run, as the scheduler counts it. */
function processorMicros(pid) {
  if (pid === undefined) return 0
  const tasks = readdirSync(`/proc/${pid}/task`)
  const nanos = tasks.map((task) => Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]))
  return nanos.reduce((sum, nano) => sum + nano, 0) / 1_000
}

function report(title, rounds) {
  console.log(`\n${title}`)
  for (const way of Object.keys(rounds[0]).filter((key) => key !== 'isCalm')) {
    const of = (what) => median(rounds.map((round) => round[way][what]))
    const to = (other) => {
      if (way === other || rounds[0][other] === undefined) return ''
      const ratios = rounds.map((round) => round[way].rate / round[other].rate).toSorted((a, b) => a - b)
      return `, to ${other} ${median(ratios).toFixed(2)} (${ratios[0].toFixed(2)} to ${ratios.at(-1).toFixed(2)})`
    }
    const micros = of('micros') > 0 ? `, ${of('micros').toFixed(1)} µs of a core each` : ''
    const took = `p50 ${of('p50')} µs, p99 ${of('p99')} µs`
    console.log(`  ${way}: ${Math.round(of('rate'))}/s, ${took}${micros}${to('direct')}${to('pgbouncer')}`)
  }
}

function median(numbers) {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1]
}

/** Memory of the process in the middle with many connections that have logged in and do nothing. */
async function reportIdle(way, { port, pid }) {
  if (pid === undefined) return
  const before = residentKib(pid)
  const packet = startupPacket(
    new Map([
      ['user', 'postgres'],
      ['database', 'postgres'],
    ]),
  )
  const sockets = []
  for (let opened = 0; opened < Number(values.idle); opened++) sockets.push(await logIn(port, packet))
  const after = residentKib(pid)
  for (const socket of sockets) socket.destroy()
  await new Promise((resolve) => setTimeout(resolve, 1_000)) // the server has to end its processes before the next ones
  const each = ((after - before) / sockets.length).toFixed(1)
  console.log(
    `\n${way}, ${values.idle} idle connections: ${before >> 10} MiB before, ${after >> 10} MiB with them: ${each} KiB each`,
  )
}

function logIn(port, packet) {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(packet))
    socket.on('error', reject)
    socket.on('data', (chunk) => {
      // ReadyForQuery ends a login.
      if (chunk.includes('Z\0\0\0\x05I', 0, 'latin1')) resolve(socket)
    })
  })
}

function residentKib(pid) {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
}
