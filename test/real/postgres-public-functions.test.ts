/**
 * What an ordinary user leaves in a database is never run with more rights. Before PostgreSQL 15 every role may create
 * functions in `public`, and one that fits a call better than the server's own is taken instead of it (CVE-2018-1058).
 *
 * Exercises: drivers/postgres. Engines: postgresql.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type pg from 'pg'
import { afterEach, describe, expect, test } from 'vitest'
import { everyPostgres } from './engines.ts'
import { Trio } from './postgres-trio.ts'

let trio: Trio | undefined

afterEach(async () => {
  await trio?.end()
  trio = undefined
})

const BAIT = `
create table public.caught (who text);
create function public.pg_create_physical_replication_slot(text) returns text language sql
  as $$ insert into public.caught values (current_user) returning who $$;
create type public.size as enum ('small', 'large');
create function public.tell(size) returns json language plpgsql
  as $$ begin raise exception 'run as %', current_user; end $$;
create cast (size as json) with function public.tell(size);
create table public.shirts (of_size size)`

async function asStranger(client: pg.Client, text: string): Promise<void> {
  await client.query(`set role stranger; ${text}; reset role`)
}

describe.each(everyPostgres)('PostgreSQL $name', ({ bin }) => {
  test('a promotion calls the server’s own functions, and rows given up are read without user-defined casts', async () => {
    const t = new Trio({ bin })
    trio = t
    await t.begin()
    const client = await t.connect('a')
    await client.query('create role stranger; grant create, usage on schema public to stranger')
    await asStranger(client, BAIT)
    await t.until('it is on every copy', async () => {
      const there = await Promise.all(['b', 'c'].map((node) => t.rows(node, "select to_regclass('shirts') as it")))
      return there.every(([row]) => row?.it !== null)
    })
    process.kill(t.pidOf('a'), 'SIGSTOP')
    await t.until('it is seen as frozen', () => t.observe('a').hung)
    await Promise.all(['b', 'c'].map((node) => t.driver(node).recruit(2)))
    asStranger(client, "insert into shirts values ('large')").catch(() => {}) // no standby is there to acknowledge it
    const { leader, quorum } = await t.failOver(2)
    expect(await t.rows(leader, 'select * from caught')).toEqual([])
    process.kill(t.pidOf('a'), 'SIGCONT')
    await t.driver('a').follow(quorum, t.address(leader))
    await t.until('it counts again', () => !t.observe('a').replica.quarantined)
    const kept = join(t.root, 'a', 'instances', 'db', 'discarded')
    const [folder = ''] = readdirSync(kept)
    const rows = readFileSync(join(kept, folder, 'rows.jsonl'), 'utf8')
      .trim()
      .split('\n')
    expect(rows.map((row) => JSON.parse(row))).toMatchObject([{ table: 'public.shirts', row: '(large)' }])
  })
})
