/**
 * Random faults on a real database, judged by a ledger of what clients were told: nothing acknowledged is ever missing, never
 * do two acknowledge, and after each fault the cluster becomes whole again by itself.
 *
 * `npm run torture:postgres -- --faults 200 --seed 7` is the long form. UNDERSTUDY_SEED and UNDERSTUDY_FAULTS say the same to
 * the test; UNDERSTUDY_BIN is a folder with PostgreSQL's programs, or `npm`.
 *
 * Exercises: api, balancer, client, drivers/postgres, local, stores. Engines: postgresql, network namespaces.
 */
import { afterAll, expect, it } from 'vitest'
import { systemClock as clock, sleep } from '../../src/lib/clock.ts'
import { seededRandom } from '../../src/lib/random.ts'
import { watchSlowness } from './slowness.ts'
import { FAULTS, type Fault, pickFault, type Scene } from './torture/faults.ts'
import { Ledger } from './torture/ledger.ts'
import { BALANCER, NODES, Place } from './torture/place.ts'
import { Tally } from './torture/tally.ts'

const SEED = Number(process.env.UNDERSTUDY_SEED ?? Date.now() % 1_000_000)
const COUNT = Number(process.env.UNDERSTUDY_FAULTS ?? 12)
const BIN = process.env.UNDERSTUDY_BIN ?? null
/** Only those whose name has it: for the search for the reason of a failure. */
const ONLY = process.env.UNDERSTUDY_ONLY ?? ''
const WRITERS = 8
/** One fault of so many comes while another one is still there. */
const TWO_AT_ONCE = 0.15
/** A machine that has time needs a tenth of it. */
const WHOLE_WITHIN_MS = 90_000

const place = new Place({ bin: BIN })
const ledger = new Ledger(NODES.map((node) => ({ node, host: place.address(node), port: BALANCER })))
const random = seededRandom(SEED)
let failed = true

afterAll(async () => {
  await ledger.stop()
  if (failed && process.env.UNDERSTUDY_KEEP) console.log(`the logs are kept in ${place.keepLogs()}`)
  await place.close()
}, 60_000)

it(`${COUNT} random faults (seed ${SEED}): nothing is lost, never two writers, whole again each time`, {
  timeout: 120_000 + COUNT * 2 * WHOLE_WITHIN_MS,
}, async () => {
  const slowness = watchSlowness()
  const faults = possible()
  const tally = new Tally()
  place.start()
  await place.untilWhole(WHOLE_WITHIN_MS)
  await ledger.begin(WRITERS)
  let checkedUntil = 0
  for (let count = 0; count < COUNT; count += 1) {
    const primary = await place.untilWhole(WHOLE_WITHIN_MS)
    await ledger.untilAcknowledged(50, 30_000)
    await sleep(clock, random() * 1_000)
    const names = await tormented(faults, primary, tally)
    checkedUntil = await expectNothingLost(names, checkedUntil)
    done = count + 1
    if (done % WEEK === 0) await place.letTimePass()
  }
  await expectAllEverywhere()
  failed = false
  console.log(tally.table(SEED, place.hosts.canCut, await slowness.ms()))
  console.log(
    `${ledger.acknowledged.length} rows acknowledged to ${WRITERS} writers, ${ledger.cancelled} cancelled commits, ` +
      `${ledger.reads} reads (${ledger.staleReads} stale); clients were told: ${ledger.told()}`,
  )
})

function possible(): readonly Fault[] {
  const left = FAULTS.filter(({ needs, name }) => {
    if (!name.includes(ONLY)) return false
    if (needs === 'cut') return place.hosts.canCut
    return needs === undefined || place.smallDisk !== null
  })
  if (!place.hosts.canCut) console.log('no cable is cut: that needs root and network namespaces')
  if (!place.smallDisk) console.log('no disk is filled: that needs root and a tmpfs')
  return left
}

/** So many faults make a week: between them log is written and old log is removed, which a torture without pauses never sees. */
const WEEK = 4
let done = 0

/** One fault, or two; then everything is healed, and whole again within its time. */
async function tormented(faults: readonly Fault[], primary: string, tally: Tally): Promise<string> {
  const chosen = [pickFault(faults, random)]
  if (random() < TWO_AT_ONCE) chosen.push(pickFault(faults, random))
  const scene: Scene = { place, random, primary, standbys: NODES.filter((node) => node !== primary) }
  const name = chosen.map((fault) => fault.name).join(' + ')
  if (process.env.UNDERSTUDY_TRACE) console.log(`${new Date().toISOString()} ${name} (primary ${primary})`)
  const [from, began] = [clock.mono(), Date.now()]
  const [first, second] = await Promise.allSettled(
    chosen.map(async (fault, index) => {
      if (index > 0) await sleep(clock, random() * 1_500)
      return fault.inject(scene)
    }),
  )
  for (const one of [first, second]) if (one?.status === 'fulfilled') await one.value?.()
  // With two at once the second may find nothing left to harm; alone, a fault that cannot be done is a mistake of the test.
  if (first?.status === 'rejected' && chosen.length === 1) {
    console.log(await place.eventsSince(began))
    throw new Error(`${name} (seed ${SEED}, after ${done} faults)`, { cause: first.reason })
  }
  const healedAt = clock.mono()
  const leads = await place.untilWhole(WHOLE_WITHIN_MS).catch((error: unknown) => {
    throw new Error(`${name} (seed ${SEED}, after ${done} faults): ${String(error)}`)
  })
  await ledger.untilAcknowledged(20, 30_000)
  const wholeMs = clock.mono() - healedAt
  const gapMs = ledger.gapBetween(from, clock.mono())
  tally.note(chosen.length > 1 ? 'two at once' : name, { gapMs, wholeMs, moved: leads !== primary })
  if (process.env.UNDERSTUDY_TRACE && (gapMs > 1_000 || wholeMs > 5_000)) console.log(await place.eventsSince(began))
  if (process.env.UNDERSTUDY_TRACE)
    console.log(`  gap ${gapMs.toFixed(0)} ms, whole after ${wholeMs.toFixed(0)} ms, ${leads}`)
  return name
}

/** What was acknowledged since the last look is on the primary; so a loss is told together with the fault that made it. */
async function expectNothingLost(name: string, from: number): Promise<number> {
  const until = ledger.acknowledged.length
  const primary = await place.untilWhole(WHOLE_WITHIN_MS)
  const least = Math.min(...ledger.acknowledged.slice(from, until).map(({ id }) => id))
  const rows = await place.ask(primary, `select id::int from ledger where id >= ${least}`)
  const there = new Set(rows.map((row) => row.id as number))
  const missing = ledger.acknowledged.slice(from, until).filter(({ id }) => !there.has(id))
  expect(missing, `lost by: ${name} (seed ${SEED})`).toEqual([])
  expect(ledger.unseen, `after: ${name} (seed ${SEED})`).toEqual([])
  expect(ledger.twoWriters(), `after: ${name} (seed ${SEED})`).toEqual([])
  return until
}

/** In the end every replica has everything, and the quorum rows in the database tell of one primary for each term. */
async function expectAllEverywhere(): Promise<void> {
  const primary = await place.untilWhole(WHOLE_WITHIN_MS)
  await ledger.stop()
  const [mark] = await place.ask(primary, 'select pg_current_wal_flush_lsn()::text as log')
  for (const node of NODES) {
    const deadline = clock.mono() + WHOLE_WITHIN_MS
    const behind = `select not pg_is_in_recovery() or pg_last_wal_replay_lsn() >= '${mark?.log}'::pg_lsn as it`
    while ((await place.ask(node, behind))[0]?.it !== true && clock.mono() < deadline) await sleep(clock, 50)
    const there = new Set((await place.ask(node, 'select id::int from ledger')).map((row) => row.id as number))
    expect(ledger.missingFrom(there), `missing on ${node} (seed ${SEED})`).toEqual([])
  }
  expect(ledger.twoWriters(), `seed ${SEED}`).toEqual([])
  expect(ledger.twoLeaders(), `seed ${SEED}`).toEqual([])
  const client = await place.session(primary)
  await client.end()
}
