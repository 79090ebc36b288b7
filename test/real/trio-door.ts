/** A front door before the servers of a trio, whose table is written by the test, and what a test needs to come in by it. */
import type pg from 'pg'
import type { Route, Target } from '../../src/core/routing.ts'
import { openDoor, type TestDoor } from '../support/door.ts'
import type { Trio } from './postgres-trio.ts'

/** Whom `openTrioDoor` lets in. */
export const APP = {
  user: 'app',
  password: 'a secret of the application',
  database: 'postgres',
} satisfies pg.ClientConfig

export const PRIMARY: Partial<Route> = {
  service: 'db',
  protocol: 'postgres',
  purpose: 'primary',
  holdMs: 20_000,
  probe: { path: null, everyMs: 100, timeoutMs: 500 },
}

/** The line of the table for the server of this node. */
export function targetOf(t: Trio, node: string, term: number, change: Partial<Target> = {}): Target {
  const { host, port } = t.address(node)
  return { id: `db@${node}:${t.observe(node).pid}`, node, host, port, state: 'serving', term, ...change }
}

/** To `a`, which leads in term 1, and as which APP may log in from now on. */
export async function openTrioDoor(t: Trio): Promise<TestDoor> {
  await t.rows('a', `create role app login password '${APP.password}'; grant create on schema public to app`)
  await t.until('the login of the doors is there', async () => {
    return (await t.rows('a', "select 1 from pg_roles where rolname = 'understudy_door'")).length === 1
  })
  return openDoor([targetOf(t, 'a', 1)], PRIMARY, { ...t.doorLogin(), service: 'db', tls: null })
}
