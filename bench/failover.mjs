/**
 * How long a PostgreSQL database takes no writes when its primary dies, as a client sees it: a row every 10 ms through the
 * front door, over one connection that is opened again when it broke. Each fault is done so many times, one after the other,
 * on the same cluster, which must be whole again before the next. Measured: the longest gap between two acknowledged rows,
 * statements that failed, whether a connection that was idle meanwhile still works, and acknowledged rows that are
 * missing at the end. Exit code 1 when Understudy lost a row or did not become whole again.
 *
 *   npm run bench:failover [-- --runs 10] [--fault kill,node,freeze,switchover] [--freeze 15] [--vs patroni,patroni-20] [--json]
 *
 * With --events what the agents told of each run is printed, to show where the time went.
 * With --vs the same client and the same faults are turned on Patroni + etcd + PostgreSQL 15, in the same run.
 */
import { loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { Writer } from './failover/client.mjs'
import { FAULTS } from './failover/faults.mjs'
import { receiptLine, summary, table } from './failover/figures.mjs'
import { monoMs, systemPostgres, until } from './failover/machine.mjs'
import { missingForPatroni, PATRONI_SETTINGS, startPatroni } from './failover/patroni.mjs'
import { startUnderstudy } from './failover/understudy.mjs'
import { whenInterrupted } from './interrupted.mjs'

/** After a fault, rows that must be acknowledged before the run counts as over. */
const ROWS_AFTER = 100
const BACK_WITHIN_MS = 120_000
const COMMITS = '100 commits/s'

const { values: asked } = parseArgs({
  options: {
    runs: { type: 'string', default: '10' },
    fault: { type: 'string', default: Object.keys(FAULTS).join(',') },
    freeze: { type: 'string', default: '15' },
    vs: { type: 'string', default: '' },
    bin: { type: 'string' },
    json: { type: 'boolean', default: false },
    events: { type: 'boolean', default: false },
  },
})
const runs = Number(asked.runs)
const faults = asked.fault.split(',').filter(Boolean)
const peers = asked.vs.split(',').filter(Boolean)
const freezeMs = Number(asked.freeze) * 1_000
const say = (text) => (asked.json ? console.error(text) : console.log(text))

let nextRun = 0
const wrong = complaint()
if (wrong) {
  console.error(wrong)
  process.exit(2)
}
process.exitCode = await main()

function complaint() {
  if (!Number.isInteger(runs) || runs < 1 || runs > 100) return '--runs takes a number from 1 to 100'
  if (!(freezeMs > 0 && freezeMs <= 120_000)) return '--freeze takes seconds, 120 at most'
  const fault = faults.find((name) => !Object.hasOwn(FAULTS, name))
  if (fault === 'cut') return 'cut is not measured here: the nodes share one machine, and a cut network needs several'
  if (fault !== undefined) return `no fault “${fault}”; there are: ${Object.keys(FAULTS).join(', ')}`
  const peer = peers.find((name) => !Object.hasOwn(PATRONI_SETTINGS, name))
  if (peer !== undefined)
    return `nothing called “${peer}” to compare with; there is: ${Object.keys(PATRONI_SETTINGS).join(', ')}`
  return peers.length > 0 ? missingForPatroni() : null
}

async function main() {
  say(`${COMMITS} over one connection, ${runs} runs of each fault; load of the machine ${loads()}`)
  // The same server for both, when there are two.
  const bin = asked.bin ?? (peers.length > 0 ? systemPostgres() : undefined)
  const starts = [() => startUnderstudy({ bin }), ...peers.map((peer) => () => startPatroni(PATRONI_SETTINGS[peer]))]
  const summaries = []
  for (const start of starts) summaries.push(...(await measure(start)))
  const ours = summaries.filter(({ system }) => system === 'Understudy')
  if (asked.json) console.log(JSON.stringify({ runs, freezeMs, load: loadavg(), summaries }, null, 1))
  else report(summaries)
  return ours.every(({ lostRows, notGotOver }) => lostRows + notGotOver === 0) ? 0 : 1
}

/** All faults on one system, a fresh one after a run that it did not get over. */
async function measure(start) {
  const summaries = []
  for (const left = [...faults]; left.length > 0; ) {
    await withSystem(start, async (system, writer) => {
      for (let isWhole = true; isWhole && left.length > 0; ) {
        const fault = left.shift()
        const done = []
        while (isWhole && done.length < runs) {
          const seen = await suffer(system, writer, fault, ++nextRun).catch((error) => error)
          isWhole = !(seen instanceof Error)
          if (isWhole) done.push(seen)
          say(`  ${system.name} ${fault}: ${isWhole ? told(seen) : `not got over: ${seen.message}`}`)
        }
        summaries.push({ ...summary({ system: system.name, fault, runs: done }), notGotOver: isWhole ? 0 : 1 })
      }
    })
  }
  return summaries
}

/** It and its files are gone afterwards, whatever happens. */
async function withSystem(start, work) {
  const system = await start()
  const writer = new Writer()
  const end = async () => {
    writer.kill()
    await system.stop()
  }
  const goOn = whenInterrupted(end)
  try {
    await system.whole()
    await writer.ask('begin', system.login)
    await work(system, writer)
  } finally {
    goOn()
    await end()
  }
}

async function suffer(system, writer, fault, run) {
  await system.whole()
  const primary = await system.primary()
  await writer.ask('watch', { hosts: system.hostsBeside(primary.node), direct: primary.direct })
  await until('rows before the fault', () => writer.ask('acknowledged', { since: monoMs() - 1_000, more: 10 }))
  const [from, faultAt] = [monoMs(), Date.now()]
  const bringBack = await FAULTS[fault].strike(system, primary, {
    freezeMs: Math.max(freezeMs, system.leastFreezeMs ?? 0),
    writer,
    run,
  })
  await until(
    'another primary',
    async () => (await system.primary().catch(() => primary)).node !== primary.node || fault === 'kill',
    BACK_WITHIN_MS,
  )
  await until(
    'rows after the fault',
    () => writer.ask('acknowledged', { since: from, more: ROWS_AFTER }),
    BACK_WITHIN_MS,
  )
  await bringBack?.()
  await system.whole()
  const seen = await writer.ask('report', { from })
  const { lost } = await writer.ask('verify')
  if (asked.events) for (const line of await system.told(faultAt)) say(`    ${line}`)
  return { ...seen, lost: lost.length, receipt: await system.receipt(faultAt) }
}

function told({ longestGapMs, failed, errors, idleError, lost }) {
  const idle = idleError === null ? 'the idle connection works' : `the idle connection was cut (${idleError})`
  const statements = failed === 0 ? 'no failed statement' : `${failed} failed (${[...new Set(errors)].join(', ')})`
  return `${Math.round(longestGapMs)} ms, ${statements}, ${idle}, ${lost} lost`
}

function report(summaries) {
  say(`\n${table(summaries)}\n`)
  for (const fault of faults) say(`${fault}: ${FAULTS[fault].means}`)
  if (faults.includes('freeze')) {
    say(`frozen for ${freezeMs / 1_000} s each time; a peer for its ttl and 10 s more where that is longer`)
  }
  for (const peer of peers) say(`${PATRONI_SETTINGS[peer].name}: ${PATRONI_SETTINGS[peer].means}`)
  say('\nReceipts of Understudy: half of the runs had got so far, in milliseconds after the fault')
  for (const one of summaries) {
    const line = receiptLine(one)
    if (line) say(`  ${line}`)
  }
  say(`load of the machine now ${loads()}`)
}

function loads() {
  return loadavg()
    .map((load) => load.toFixed(1))
    .join(' ')
}
