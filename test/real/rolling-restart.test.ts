/**
 * Web, worker and database of the shop are restarted in turns, instance after instance, while customers send GETs, POSTs and
 * commits at the endpoints of all nodes. No customer may notice more than a pause: no request and no statement fails, what was
 * acknowledged is on every replica, and there are never two workers. How long the pauses were is printed, not judged.
 *
 * `npm run torture:restarts -- --times 20 --seed 7` is the long form, at 200 GET/s, 50 POST/s and 100 commits/s.
 *
 * Exercises: api, balancer, client, drivers/process, drivers/postgres, local, stores. Engines: postgresql.
 */
import { afterAll, expect, it } from 'vitest'
import { systemClock as clock, sleep } from '../../src/lib/clock.ts'
import { type Random, seededRandom } from '../../src/lib/random.ts'
import { serviceOf, type TestCluster } from './cluster.ts'
import { watchSlowness } from './slowness.ts'
import {
  Customers,
  checkWorkers,
  gapsOfWorkers,
  isComplete,
  isWhole,
  pidsOf,
  type Rates,
  startShop,
} from './torture/shop-under-load.ts'

const SEED = Number(process.env.UNDERSTUDY_SEED ?? Date.now() % 1_000_000)
const TIMES = Number(process.env.UNDERSTUDY_RESTARTS ?? 2)
const RATES: Rates = process.env.UNDERSTUDY_RESTARTS
  ? { gets: 200, posts: 50, commits: 100 }
  : { gets: 60, posts: 16, commits: 30 }
const SERVICES = ['web', 'worker', 'db'] as const
/** A machine that has time needs a tenth of it. */
const RESTARTED_WITHIN_MS = 120_000
/** What an operator may expect of a database that is restarted on a machine that has time; the report compares with it. */
const EXPECTED_PAUSE_MS = 500
const random = seededRandom(SEED)

let cluster: TestCluster | undefined
let customers: Customers | undefined

afterAll(async () => {
  await customers?.leave()
  await cluster?.stop()
}, 90_000)

interface Restart {
  readonly service: (typeof SERVICES)[number]
  readonly tookMs: number
  readonly waits: Record<keyof Rates, number[]>
  /** By how much the machine was late meanwhile, at most. */
  readonly slowMs: number
}

it(`web, worker and database are restarted ${TIMES} times under load (seed ${SEED}): no client notices`, {
  timeout: 120_000 + TIMES * SERVICES.length * RESTARTED_WITHIN_MS,
}, async () => {
  cluster = await startShop('300ms')
  await cluster.until('the shop is open', isWhole, 90_000)
  customers = await Customers.come(cluster, RATES)
  await sleep(clock, 1_000)
  const restarts: Restart[] = []
  for (let round = 0; round < TIMES; round++) {
    for (const service of shuffled(SERVICES, random)) {
      restarts.push(await restarted(cluster, customers, service))
      await sleep(clock, random() * 500)
    }
  }
  const failures = await customers.leave()
  await cluster.until('the shop is whole again', isWhole, 60_000)
  const workers = await checkWorkers(cluster)
  console.log([...SERVICES.map((service) => report(service, restarts)), workers.says, pauses(restarts)].join('\n'))
  console.log(`a worker was away for at most ${Math.round(gapsOfWorkers(cluster).at(-1) ?? 0)} ms`)
  expect(failures, failures.length === 0 ? '' : await eventsOf(cluster)).toEqual([])
  expect(workers).toMatchObject({ code: 0 })
  expect(await customers.whatIsMissing()).toEqual([])
  const alarms = (await cluster.local.client.events()).filter(({ rule }) => rule === 'promise-broken')
  expect(alarms).toEqual([])
})

/** Resolves when every instance is another process, and healthy. */
async function restarted(place: TestCluster, all: Customers, service: Restart['service']): Promise<Restart> {
  const { client } = place.local
  const before = new Set(pidsOf(await place.status(), service))
  const slowness = watchSlowness()
  const from = performance.now()
  await client.restart(service)
  await place.until(
    `another process for each instance of ${service}`,
    (status) => pidsOf(status, service).every((pid) => !before.has(pid)) && isComplete(serviceOf(status, service)),
    RESTARTED_WITHIN_MS,
  )
  const until = performance.now()
  await sleep(clock, 300) // what was due before is answered
  const slowMs = await slowness.ms()
  return { service, tookMs: until - from, waits: all.waitsBetween(from, until), slowMs }
}

function report(service: string, restarts: readonly Restart[]): string {
  const own = restarts.filter((restart) => restart.service === service)
  const took = own.map(({ tookMs }) => tookMs)
  const waits = (['gets', 'posts', 'commits'] as const).map((kind) => {
    const all = own.flatMap((restart) => restart.waits[kind])
    return `${all.length} ${kind} p50 ${at(all, 0.5)}, p99 ${at(all, 0.99)}, max ${at(all, 1)} ms`
  })
  return `${service}: ${own.length} restarts, each p50 ${at(took, 0.5)}, max ${at(took, 1)} ms; ${waits.join('; ')}`
}

/** The longest wait of a commit in each restart of the database, and how late the machine itself was then. */
function pauses(restarts: readonly Restart[]): string {
  const own = restarts.filter(({ service }) => service === 'db')
  const longest = own.map(({ waits }) => at(waits.commits, 1))
  const slow = own.map(({ slowMs }) => slowMs)
  const over = longest.filter((pause) => pause > EXPECTED_PAUSE_MS).length
  const late = own.filter(({ waits, slowMs }) => at(waits.commits, 1) > EXPECTED_PAUSE_MS + slowMs).length
  return (
    `longest pause of the database in each of ${own.length} restarts: p50 ${at(longest, 0.5)}, p90 ${at(longest, 0.9)}, ` +
    `max ${at(longest, 1)} ms; ${over} over ${EXPECTED_PAUSE_MS} ms, ${late} of them by more than the machine was late; ` +
    `the machine was late by p50 ${at(slow, 0.5)}, max ${at(slow, 1)} ms`
  )
}

function at(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0)
}

function shuffled<T>(all: readonly T[], chance: Random): T[] {
  return all
    .map((one) => ({ one, ticket: chance() }))
    .sort((a, b) => a.ticket - b.ticket)
    .map(({ one }) => one)
}

async function eventsOf(place: TestCluster): Promise<string> {
  const events = await place.local.client.events()
  return events.map(({ at: when, node, rule, kind, why }) => `${when} ${node} ${rule} ${kind} ${why}`).join('\n')
}
