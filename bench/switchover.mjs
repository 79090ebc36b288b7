/**
 * What many clients see of a switchover: pgbench with 50 clients through the front doors of all three nodes, as fast as they
 * can, while the primary hands over on purpose. Each run is a pgbench and one switchover. Measured from pgbench's own log:
 * how long no transaction came back, the longest that one transaction took, and clients that gave up.
 * Exit code 1 when a client saw an error.
 *
 *   npm run bench:switchover [-- --runs 5] [--clients 50] [--rate TRANSACTIONS_PER_SECOND] [--json]
 *
 * pgbench runs its simple-update script: in the other one all clients wait for one row of `branches`, and for each other.
 */
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { systemPostgres, until } from './failover/machine.mjs'
import { startUnderstudy } from './failover/understudy.mjs'
import { whenInterrupted } from './interrupted.mjs'

const SECONDS = 8
const STRIKE_AFTER_MS = 3_000

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '5' },
    clients: { type: 'string', default: '50' },
    rate: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
})
const [runs, clients] = [Number(values.runs), Number(values.clients)]
const bin = systemPostgres()
const say = (text) => (values.json ? console.error(text) : console.log(text))

if (bin === null) {
  console.error('pgbench of PostgreSQL 15 is needed: apt-get install postgresql-15')
  process.exit(2)
}
if (
  !(Number.isInteger(runs) && runs >= 1 && runs <= 50 && Number.isInteger(clients) && clients >= 3 && clients <= 80)
) {
  console.error('--runs takes 1 to 50, --clients 3 to 80')
  process.exit(2)
}
process.exitCode = await main()

async function main() {
  const atMost = values.rate ? `${values.rate} transactions/s` : 'as fast as they can'
  say(`${clients} clients of pgbench over three doors, ${atMost}; load of the machine ${loads()}`)
  const system = await startUnderstudy({ bin })
  const folder = mkdtempSync(join(tmpdir(), 'understudy-pgbench-'))
  const end = async () => {
    await system.stop()
    rmSync(folder, { recursive: true, force: true })
  }
  const goOn = whenInterrupted(end)
  try {
    await system.whole()
    const { user, password, database, hosts } = system.login
    const env = { ...process.env, PGUSER: user, PGPASSWORD: password, PGDATABASE: database }
    const place = ({ host, port }) => ['-h', host, '-p', String(port)]
    execFileSync(join(bin, 'pgbench'), ['-i', '-q', '-s', '5', ...place(hosts[0])], { env, stdio: 'ignore' })
    const seen = []
    while (seen.length < runs) {
      seen.push(await run(system, { env, folder, hosts: hosts.map(place) }, seen.length))
      say(`  ${told(seen.at(-1))}`)
    }
    if (values.json) console.log(JSON.stringify({ clients, load: loadavg(), runs: seen }, null, 1))
    else say(`\nhalf of the runs: ${told(middle(seen))}\nthe worst of each: ${told(worst(seen))}`)
    say(`load of the machine now ${loads()}`)
    return seen.some(({ errors }) => errors > 0) ? 1 : 0
  } finally {
    goOn()
    await end()
  }
}

async function run(system, { env, folder, hosts }, index) {
  await system.whole()
  const { node } = await system.primary()
  const share = (door) => Math.floor(clients / 3) + (door < clients % 3 ? 1 : 0)
  const ended = hosts.map((place, door) => {
    const prefix = join(folder, `run-${index}-${door}`)
    const rate = values.rate ? ['-R', String(Math.max(1, Math.round(Number(values.rate) / 3)))] : []
    const args = ['-N', '-n', '-c', String(share(door)), '-T', String(SECONDS), '-l', `--log-prefix=${prefix}`, ...rate]
    return pgbench([...args, ...place], env)
  })
  await pause(STRIKE_AFTER_MS)
  await system.switchover()
  await until('another primary', async () => (await system.primary().catch(() => ({ node }))).node !== node)
  const errors = (await Promise.all(ended)).reduce((sum, count) => sum + count, 0)
  const transactions = readdirSync(folder)
    .filter((name) => name.startsWith(`run-${index}-`))
    .flatMap((name) => readFileSync(join(folder, name), 'utf8').trim().split('\n'))
    .map((line) => line.split(' ').map(Number))
    // With a rate pgbench counts from when a transaction was due, and says how much later it began.
    .map(([, , micros, , seconds, part, late = 0]) => {
      return { tookMs: (micros - late) / 1_000, at: seconds * 1_000 + part / 1_000 }
    })
    .sort((a, b) => a.at - b.at)
  const longestMs = Math.max(...transactions.map(({ tookMs }) => tookMs))
  const silences = transactions.slice(1).map(({ at }, before) => at - transactions[before].at)
  return { silenceMs: Math.max(...silences), longestMs, errors, transactions: transactions.length }
}

/** Resolves to how many of its clients gave up. */
function pgbench(args, env) {
  const child = spawn(join(bin, 'pgbench'), args, { env, stdio: ['ignore', 'ignore', 'pipe'] })
  let complaints = ''
  child.stderr.on('data', (chunk) => {
    complaints += chunk
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => {
      const aborted = complaints.split('\n').filter((line) => / aborted/.test(line) && /client/.test(line)).length
      if (code !== 0)
        say(
          complaints
            .split('\n')
            .filter((line) => /error|abort/i.test(line))
            .slice(0, 3)
            .join('\n'),
        )
      resolve(Math.max(aborted, code === 0 ? 0 : 1))
    })
  })
}

function told({ silenceMs, longestMs, errors, transactions }) {
  return (
    `no transaction came back for ${Math.round(silenceMs)} ms, one took ${Math.round(longestMs)} ms, ` +
    `${errors} clients saw an error, ${transactions} transactions in ${SECONDS} s`
  )
}

function middle(seen) {
  const at = (name) => seen.map((one) => one[name]).sort((a, b) => a - b)[Math.floor((seen.length - 1) / 2)]
  return {
    silenceMs: at('silenceMs'),
    longestMs: at('longestMs'),
    errors: at('errors'),
    transactions: at('transactions'),
  }
}

function worst(seen) {
  const most = (name) => Math.max(...seen.map((one) => one[name]))
  const transactions = Math.min(...seen.map((one) => one.transactions))
  return { silenceMs: most('silenceMs'), longestMs: most('longestMs'), errors: most('errors'), transactions }
}

function loads() {
  return loadavg()
    .map((load) => load.toFixed(1))
    .join(' ')
}
