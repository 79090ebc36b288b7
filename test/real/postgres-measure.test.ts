/**
 * How long the mechanics take: a measurement, no test, and run only when asked for (MEASURE=10 for ten rounds of each fault).
 * The primary is killed, or frozen, under one writer; the others are fenced, the furthest leads, the third follows, a client
 * commits; then the old one rejoins, and the next round begins with the new primary.
 *
 * Exercises: drivers/postgres. Engines: postgresql.
 */
import { writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { systemClock } from '../../src/lib/clock.ts'
import { Ledger, Trio } from './postgres-trio.ts'

const rounds = Number(process.env.MEASURE ?? 0)

test.skipIf(rounds === 0).each([
  ['kill -9', 'SIGKILL', null],
  ['SIGSTOP', 'SIGSTOP', null],
  ['kill -9', 'SIGKILL', 'npm'],
] as const)(
  '%s',
  async (name, fault, bin) => {
    const trio = new Trio({ bin })
    const figures: Record<string, number[]> = {}
    const note = (what: string, ms: number) => {
      figures[what] = [...(figures[what] ?? []), ms]
    }
    try {
      await trio.begin()
      let leader = 'a'
      let ledger: Ledger | undefined
      for (let term = 2; term < 2 + rounds; term += 1) {
        const others = trio.nodes.filter((node) => node !== leader)
        const writer = await trio.connect(leader)
        ledger ??= await Ledger.prepare(writer)
        const had = ledger.acknowledged.length
        ledger.begin(writer)
        await trio.until('some rows', () => (ledger?.acknowledged.length ?? 0) > had + 50)
        const t0 = systemClock.mono()
        process.kill(trio.pidOf(leader), fault)
        await trio.until('it is seen', () => trio.observe(leader).state === 'stopped' || trio.observe(leader).hung)
        const t1 = systemClock.mono()
        await Promise.all(others.map((node) => trio.driver(node).recruit(term)))
        const t2 = systemClock.mono()
        const log = (node: string) => BigInt(trio.observe(node).replica.position?.log ?? '0')
        const [next = '', third = ''] = others.sort((x, y) => (log(x) >= log(y) ? -1 : 1))
        const quorum = trio.quorum(term, next)
        const following = trio.driver(third).follow(quorum, trio.address(next))
        let promotedAt = 0
        const stop = trio.driver(next).onChange(() => {
          if (promotedAt === 0 && trio.observe(next).role === 'primary') promotedAt = systemClock.mono()
        })
        await trio.driver(next).promoteReplica(quorum)
        stop()
        const t3 = systemClock.mono()
        const client = await trio.connect(next)
        await client.query('insert into ledger (id) values ($1)', [-term])
        const t4 = systemClock.mono()
        await following
        if (fault === 'SIGSTOP') process.kill(trio.pidOf(leader), 'SIGCONT')
        const t5 = systemClock.mono()
        await trio.driver(leader).follow(quorum, trio.address(next))
        const old = leader
        await trio.until('it counts again', () => !trio.observe(old).replica.quarantined)
        const t6 = systemClock.mono()
        // A commit on the frozen one waits for ever: only now has its server ended.
        await ledger.stop()
        expect(await ledger.lost(client)).toEqual([])
        note('1 seen', t1 - t0)
        note('2 fenced', t2 - t1)
        note('3 promoted', promotedAt - t2)
        note('4 rule row on its quorum', t3 - promotedAt)
        note('5 first commit of a client (fresh connection)', t4 - t3)
        note('6 fault to rule row', t3 - t0)
        note('7 fault to first commit', t4 - t0)
        note('8 rejoin', t6 - t5)
        leader = next
      }
      if (fault === 'SIGKILL') note('9 clone MB/s', await cloneRate(trio, leader, bin))
      for (const [what, values] of Object.entries(figures)) {
        const sorted = values.toSorted((x, y) => x - y)
        const median = sorted[Math.floor(sorted.length / 2)] ?? 0
        const line = `${name} ${bin ?? 'system'} | ${what} | median ${median.toFixed(0)} | max ${(sorted.at(-1) ?? 0).toFixed(0)}\n`
        writeFileSync(process.env.MEASURE_TO ?? '/dev/stderr', line, { flag: 'a' })
      }
    } finally {
      await trio.end()
    }
  },
  600_000,
)

async function cloneRate(trio: Trio, leader: string, bin: string | null): Promise<number> {
  const client = await trio.connect(leader)
  await client.query('create table big as select n, repeat(md5(n::text), 20) as text from generate_series(1, 300000) n')
  const { rows } = await client.query('select sum(pg_database_size(oid))::float8 as bytes from pg_database')
  const fourth = new Trio({ nodes: ['d'], bin })
  try {
    await fourth.driver('d').adopt()
    const startedAt = systemClock.mono()
    await fourth.driver('d').follow({ ...trio.quorum(trio.observe(leader).term, leader) }, trio.address(leader))
    return Number(rows[0].bytes) / 1e3 / (systemClock.mono() - startedAt)
  } finally {
    await fourth.end()
  }
}
