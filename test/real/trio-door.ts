/** A front door before the servers of a trio, whose table is written by the test, and clients that come in by it. */
import pg from 'pg'
import type { Route, Target } from '../../src/core/routing-table.ts'
import { closeAll, openBalancer, type TestBalancer } from '../support/door.ts'
import { Trio, type TrioOptions } from './postgres-trio.ts'

/** Who may log in. */
export const APP = { user: 'app', password: 'a secret of the application', database: 'postgres' }

export const PRIMARY: Partial<Route> = {
  service: 'db',
  protocol: 'postgres',
  purpose: 'primary',
  holdMs: 20_000,
  probe: { path: null, everyMs: 100, timeoutMs: 500 },
}

export interface TrioWithBalancer {
  readonly trio: Trio
  /** Leads to `a` in term 1. */
  readonly balancer: TestBalancer
}

const trios: Trio[] = []
const clients: pg.Client[] = []

/** `endTrioDoors` ends it, after each test. */
export async function beginTrioBalancer(wanted: TrioOptions = {}): Promise<TrioWithBalancer> {
  const trio = new Trio(wanted)
  trios.push(trio)
  await trio.begin()
  await trio.rows('a', `create role app login password '${APP.password}'; grant create on schema public to app`)
  await trio.until('the login of the doors is there', async () => {
    return (await trio.rows('a', "select 1 from pg_roles where rolname = 'understudy_door'")).length === 1
  })
  const secret = { ...trio.balancerLogin(), service: 'db', tls: null }
  return { trio, balancer: await openBalancer([targetOf(trio, 'a', 1)], PRIMARY, secret) }
}

export async function endTrioBalancers(): Promise<void> {
  for (const client of clients.splice(0)) client.end().catch(() => {}) // its door may be closed
  closeAll()
  for (const trio of trios.splice(0)) await trio.end()
}

/** The line of the table for the server of this node. */
export function targetOf(t: Trio, node: string, term: number, change: Partial<Target> = {}): Target {
  const { host, port } = t.address(node)
  return { id: `db@${node}:${t.observe(node).pid ?? 0}`, node, host, port, state: 'serving', term, ...change }
}

/** Not yet connected. */
export function clientOf(balancer: TestBalancer, change: pg.ClientConfig = {}): pg.Client {
  const client = new pg.Client({ host: '127.0.0.1', port: balancer.port, ...APP, ...change })
  client.on('error', () => {}) // the call that waits for an answer rejects with it
  clients.push(client)
  return client
}
