/**
 * Several processes share one store and are killed (-9) and stopped (SIGSTOP) at random moments. Afterwards their ledgers
 * have to agree with the store: nothing that was acknowledged is lost, nothing was done twice, and no process led while
 * another one did, by the clock that all of them share. The seed is printed; UNDERSTUDY_TORTURE_SECONDS makes it longer.
 *
 * Exercises: stores. Engines: none.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, expect, it } from 'vitest'
import { systemClock } from '../../src/lib/clock.ts'
import { type Random, seededRandom } from '../../src/lib/random.ts'
import { openEmbeddedStore } from '../../src/stores/embedded/open.ts'

const SECONDS = Number(process.env.UNDERSTUDY_TORTURE_SECONDS ?? 15)
/** Less than that proves little: on a busy machine it goes on until there was so much, for so many times the seconds. */
const LEAST = { count: SECONDS * 5, leads: SECONDS / 3 }
const PATIENCE = 6
const SEED = Number(process.env.UNDERSTUDY_TORTURE_SEED ?? Math.floor(Math.random() * 1e9))
const PROCESSES = 4
const WORKER = join(import.meta.dirname, 'store/increment-and-lead.mjs')

interface Line {
  readonly what: string
  readonly n: number
  readonly term: number
  readonly from: number
  readonly until: number
  readonly at: number
}

const folder = mkdtempSync(join(tmpdir(), 'understudy-torture-'))
const workers = new Map<number, ChildProcess>()
const faults = { kills: 0, stops: 0 }

afterEach(async () => {
  await Promise.all([...workers.keys()].map(kill))
  rmSync(folder, { recursive: true, force: true })
})

function start(slot: number, random: Random): void {
  const seed = Math.floor(random() * 1e9)
  const argv = [WORKER, join(folder, 'store.db'), join(folder, `ledger-${slot}`), String(seed)]
  workers.set(slot, spawn(process.execPath, argv, { stdio: ['ignore', 'inherit', 'inherit'] }))
}

function kill(slot: number): Promise<void> {
  const worker = workers.get(slot)
  workers.delete(slot)
  if (!worker || worker.exitCode !== null || worker.signalCode !== null) return Promise.resolve()
  const gone = new Promise<void>((resolve) => worker.once('exit', () => resolve()))
  worker.kill('SIGKILL')
  return gone
}

async function torture(random: Random): Promise<void> {
  for (let slot = 0; slot < PROCESSES; slot++) start(slot, random)
  const begun = systemClock.mono()
  const lastedMs = () => systemClock.mono() - begun
  while (lastedMs() < SECONDS * 1_000 || (lastedMs() < PATIENCE * SECONDS * 1_000 && !isEnough())) {
    await pause(100 + random() * 250)
    const slot = Math.floor(random() * PROCESSES)
    expect(workers.get(slot)?.exitCode, 'a process ended by itself').toBe(null)
    if (random() < 0.4) {
      faults.stops++
      workers.get(slot)?.kill('SIGSTOP')
      await pause(random() * 1_200)
      workers.get(slot)?.kill('SIGCONT')
      if (random() < 0.5) continue
    }
    faults.kills++
    await kill(slot)
    start(slot, random)
  }
  for (let slot = 0; slot < PROCESSES; slot++) await kill(slot)
}

/** By what the processes were told so far. */
function isEnough(): boolean {
  const lines = readLedgers().flat()
  const times = (what: string) => lines.filter((line) => line.what === what).length
  return times('done') > LEAST.count && times('lead') > LEAST.leads
}

function readLedgers(): Line[][] {
  return Array.from({ length: PROCESSES }, (_, slot) => readLedger(slot))
}

function readLedger(slot: number): Line[] {
  const path = join(folder, `ledger-${slot}`)
  if (!existsSync(path)) return []
  const lines = readFileSync(path, 'utf8').split('\n')
  lines.pop() // what follows the last line feed: nothing, or a line that its writer did not get to finish
  return lines.map((line) => JSON.parse(line))
}

/** Every step from 0 to the count was acknowledged to exactly one process, or to none but asked for by one. */
function checkCount(ledgers: readonly Line[][], count: number): { done: number; unknown: number } {
  const done = new Map<number, number>()
  const open = new Set<number>()
  for (const ledger of ledgers) {
    ledger
      .filter(({ n }) => n !== undefined)
      .forEach((line, at, all) => {
        if (line.what === 'done') done.set(line.n, (done.get(line.n) ?? 0) + 1)
        const answer = all[at + 1]
        // An intent that is followed by no answer belongs to a process that was killed before it heard.
        if (line.what === 'intent' && (answer === undefined || answer.what === 'intent' || answer.what === 'unknown')) {
          open.add(line.n)
        }
      })
  }
  expect(
    [...done].filter(([, times]) => times > 1),
    'acknowledged to two',
  ).toEqual([])
  expect(
    [...done.keys()].filter((n) => n > count),
    'acknowledged and lost',
  ).toEqual([])
  let unknown = 0
  for (let n = 1; n <= count; n++) {
    if (done.has(n)) continue
    unknown++
    expect(open.has(n), `${n} was counted though no process is left that may have done it`).toBe(true)
  }
  return { done: done.size, unknown }
}

/** One leader per term, and no two terms at the same time. */
function checkLeads(ledgers: readonly Line[][]): number {
  const terms = new Map<number, { from: number; until: number }>()
  for (const line of ledgers.flat()) {
    expect(line.what, 'the store named another one while this one led').not.toBe('intruder')
    if (line.what === 'lead') {
      expect(terms.has(line.term), `two led in term ${line.term}`).toBe(false)
      terms.set(line.term, { from: line.from, until: line.until })
    }
    const term = terms.get(line.term)
    if (term && line.what === 'renewed') term.until = line.until
    if (term && line.what === 'leave') term.until = Math.min(term.until, line.at)
  }
  const inOrder = [...terms].sort(([a], [b]) => a - b)
  for (let at = 1; at < inOrder.length; at++) {
    const [[before, earlier], [after, later]] = [inOrder[at - 1], inOrder[at]] as [
      (typeof inOrder)[0],
      (typeof inOrder)[0],
    ]
    expect(later.from, `term ${after} began before term ${before} ended`).toBeGreaterThanOrEqual(earlier.until)
  }
  return inOrder.length
}

it(
  `${PROCESSES} processes, killed and stopped for ${SECONDS} s: nothing lost, nothing twice, never two leaders`,
  async () => {
    console.log(`store torture: UNDERSTUDY_TORTURE_SEED=${SEED} UNDERSTUDY_TORTURE_SECONDS=${SECONDS}`)
    await torture(seededRandom(SEED))
    const path = join(folder, 'store.db')
    const store = await openEmbeddedStore({ path, clock: systemClock, random: Math.random })
    const { entries } = await store.read('')
    await store.close()
    const ledgers = readLedgers()
    const count = Number(entries.get('count')?.value)
    const counted = checkCount(ledgers, count)
    const leads = checkLeads(ledgers)
    const away = ledgers.flat().filter(({ what }) => what === 'away' || what === 'not done').length
    console.log('store torture:', JSON.stringify({ ...faults, count, ...counted, away, leads }))
    expect(count).toBeGreaterThan(LEAST.count)
    expect(leads).toBeGreaterThan(LEAST.leads)
  },
  (PATIENCE * SECONDS + 30) * 1_000,
)
