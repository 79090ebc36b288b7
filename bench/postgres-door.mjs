/**
 * The price of the PostgreSQL door, measured in one run: pgbench straight to a server, through PgBouncer in session mode, and
 * through the door, in turns, so that a noisy neighbour hits all three. Beside the rates: the processor time that PgBouncer
 * and the door spend on one transaction, which says more on a machine that has other work to do.
 *
 *   npm run bench:postgres [-- --seconds 5 --rounds 5 --clients 8]
 *
 * Needs PostgreSQL's server and pgbench; leaves PgBouncer out, and says so, when it is not installed.
 */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { connectBalancer } from '../dist/balancer/control.js'

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '5' },
    rounds: { type: 'string', default: '5' },
    clients: { type: 'string', default: '8' },
  },
})
const LOADS = [
  { name: 'select only, simple', args: ['-S', '-M', 'simple'] },
  { name: 'select only, prepared', args: ['-S', '-M', 'prepared'] },
  { name: 'tpcb-like, simple', args: ['-M', 'simple'] },
]

const bin = binaries()
if (bin === undefined) {
  console.log('left out: PostgreSQL with pgbench is not installed (apt-get install postgresql)')
  process.exit(0)
}
const folder = mkdtempSync(join(tmpdir(), 'understudy-bench-'))
const account = accountOf('postgres')
const children = []
try {
  await main()
} finally {
  for (const child of children) await end(child)
  rmSync(folder, { recursive: true, force: true })
}

async function main() {
  chmodSync(folder, 0o755)
  const port = await startServer()
  const ways = { direct: { port }, pgbouncer: await startPgbouncer(port), door: await startDoor(port) }
  await pgbench(port, ['-i', '-q', '-s', '10'])
  console.log(
    `${values.clients} clients, ${values.rounds} rounds of ${values.seconds} s each; load now ${loadavg()[0].toFixed(1)}`,
  )
  for (const load of LOADS) {
    const rounds = Object.fromEntries(Object.keys(ways).map((way) => [way, []]))
    for (let round = 0; round < Number(values.rounds); round++) {
      for (const [way, at] of Object.entries(ways)) if (at !== undefined) rounds[way].push(await measure(at, load.args))
    }
    report(load.name, rounds)
  }
  console.log(`load at the end ${loadavg()[0].toFixed(1)}`)
}

function report(name, rounds) {
  const median = (all, of) => all.map(of).toSorted((a, b) => a - b)[all.length >> 1]
  const rate = (way) => median(rounds[way], (round) => round.rate)
  const said = Object.keys(rounds)
    .filter((way) => rounds[way].length > 0)
    .map((way) => {
      const micros = median(rounds[way], (round) => round.micros)
      return `${way} ${Math.round(rate(way))}/s${micros > 0 ? ` (${Math.round(micros)} µs of a core each)` : ''}`
    })
  const ratio = (other) => (rounds[other].length === 0 ? 'not measured' : (rate('door') / rate(other)).toFixed(2))
  console.log(`${name}: ${said.join(', ')}; door to direct ${ratio('direct')}, door to pgbouncer ${ratio('pgbouncer')}`)
}

async function measure({ port, pid }, args) {
  const { clients, seconds } = values
  const before = processorMicros(pid)
  const out = await pgbench(port, ['-n', '-c', clients, '-j', '2', '-T', seconds, ...args])
  const done = Number(/transactions actually processed: (\d+)/.exec(out)?.[1])
  return { rate: Number(/tps = ([\d.]+)/.exec(out)?.[1]), micros: (processorMicros(pid) - before) / done }
}

/** User and system time of a process, which the kernel counts in hundredths of a second. */
function processorMicros(pid) {
  if (pid === undefined) return 0
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10_000
}

async function pgbench(port, args) {
  const child = spawn(join(bin, 'pgbench'), [
    '-h',
    '127.0.0.1',
    '-p',
    String(port),
    '-U',
    'postgres',
    ...args,
    'postgres',
  ])
  let [out, complaints] = ['', '']
  child.stdout.on('data', (chunk) => {
    out += chunk
  })
  child.stderr.on('data', (chunk) => {
    complaints += chunk
  })
  const [code] = await once(child, 'close')
  if (code !== 0) throw new Error(`pgbench ended with ${code}: ${complaints}`)
  return out
}

async function startServer() {
  const data = owned('data')
  const port = await freePort()
  execFileSync(join(bin, 'initdb'), ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8'], {
    ...account,
    stdio: 'ignore',
  })
  begin(join(bin, 'postgres'), ['-D', data, '-p', String(port), '-k', '', '-c', 'listen_addresses=127.0.0.1'])
  await answers(port)
  return port
}

async function startPgbouncer(server) {
  const program = ['/usr/sbin/pgbouncer', '/usr/bin/pgbouncer'].find((path) => existsSync(path))
  if (program === undefined) {
    console.log('left out: PgBouncer is not installed (apt-get install pgbouncer)')
    return undefined
  }
  const port = await freePort()
  const config = join(folder, 'pgbouncer.ini')
  writeFileSync(join(folder, 'users.txt'), '"postgres" ""\n')
  writeFileSync(
    config,
    `[databases]\n* = host=127.0.0.1 port=${server}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = ${port}\n` +
      `unix_socket_dir =\nauth_type = trust\nauth_file = ${join(folder, 'users.txt')}\npool_mode = session\n` +
      'max_client_conn = 200\ndefault_pool_size = 100\nlog_connections = 0\nlog_disconnections = 0\nverbose = 0\n',
  )
  const { pid } = begin(program, ['-q', config])
  await answers(port)
  return { port, pid }
}

async function startDoor(server) {
  const port = await freePort()
  const socket = join(folder, 'door.sock')
  const child = spawn(process.execPath, [
    'dist/balancer/main.js',
    '--socket',
    socket,
    '--saved',
    join(folder, 'door.json'),
  ])
  children.push(child)
  child.stderr.pipe(process.stderr)
  const listening = new Promise((resolve) => {
    const link = connectBalancer(socket, {
      onMessage(message) {
        if (message.type === 'listening') {
          link.close()
          resolve()
        }
      },
      onGone() {},
    })
    const target = { id: 'db@a:1', node: 'a', host: '127.0.0.1', port: server, state: 'serving', term: 1 }
    const probe = { path: null, everyMs: 1_000, timeoutMs: 1_000 }
    const place = { service: 'db', protocol: 'postgres', purpose: 'primary', host: '127.0.0.1', port }
    const route = { ...place, holdMs: 20_000, probe, targets: [target], peers: [], readOnly: null }
    link.publish({ version: 1, node: 'a', routes: [route] })
  })
  await listening
  return { port, pid: child.pid }
}

function begin(program, args) {
  const child = spawn(program, args, { ...account, stdio: 'ignore' })
  children.push(child)
  return child
}

async function end(child) {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGINT')
  await once(child, 'exit')
}

async function answers(port) {
  for (let tries = 0; tries < 300; tries++) {
    const { status } = await new Promise((resolve) => {
      const child = spawn(join(bin, 'pg_isready'), ['-q', '-h', '127.0.0.1', '-p', String(port)], { stdio: 'ignore' })
      child.on('close', (status) => resolve({ status }))
    })
    if (status === 0) return
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  throw new Error(`nobody answers on ${port}`)
}

async function freePort() {
  const server = createServer()
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address()
  await new Promise((resolve) => server.close(resolve))
  return port
}

function owned(name) {
  const path = join(folder, name)
  mkdirSync(path, { mode: 0o700 })
  if (account.uid !== undefined) chownSync(path, account.uid, account.gid)
  return path
}

/** Neither server may run as root. */
function accountOf(name) {
  if (process.getuid() !== 0) return {}
  const id = (flag) => Number(execFileSync('id', [flag, name], { encoding: 'utf8' }))
  return { uid: id('-u'), gid: id('-g') }
}

function binaries() {
  const root = '/usr/lib/postgresql'
  const versions = existsSync(root) ? readdirSync(root).sort((a, b) => Number(b) - Number(a)) : []
  return versions.map((version) => join(root, version, 'bin')).find((path) => existsSync(join(path, 'pgbench')))
}
