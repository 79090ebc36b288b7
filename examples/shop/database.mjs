// The shop's connection to its database: port 5432 of its own node, where the balancer leads to the current primary. An
// ordinary client (`npm install pg`) and an ordinary address; nothing here knows of replicas, terms or failovers.
//
// An application has to know one thing: when the connection breaks while a statement is under way, the outcome of the
// statement is unknown. So every statement here is idempotent, and can simply be sent again.
import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'

const { HOST = '127.0.0.1' } = process.env
const GIVE_UP_AFTER_MS = 10_000
const PAUSE_MS = 50

const pool = new pg.Pool({
  host: HOST,
  port: 5432,
  user: 'shop',
  password: 'a cup of tea', // as the config made it; change it there and here, and with ALTER ROLE
  database: 'shop',
  max: 8,
  // While the primary changes, the balancer holds new connections instead of refusing them.
  connectionTimeoutMillis: GIVE_UP_AFTER_MS,
  // No answer at all: the connection is dropped, and the statement is sent again over another one.
  query_timeout: 5_000,
})
pool.on('error', () => {}) // an idle connection was closed: the pool opens another one when it needs it

/** Sends a statement, and again while the reason for its failure is one that passes. The statement must be idempotent. */
export async function ask(text, values) {
  const deadline = performance.now() + GIVE_UP_AFTER_MS
  for (;;) {
    try {
      return await pool.query(text, values)
    } catch (error) {
      if (!passes(error) || performance.now() > deadline) throw error
      await pause(PAUSE_MS)
    }
  }
}

/** Is it the way to the database, and not the statement, that failed? */
function passes({ code }) {
  // The client's own errors, and those of the network (ECONNREFUSED, ECONNRESET), are no five characters of SQL's.
  if (code === undefined || !/^[0-9A-Z]{5}$/.test(code)) return true
  // 08: the connection broke. 57P: the server ends or begins. 40: asked to try again. 25006: it was the primary until now.
  return /^(08|57P|40|53300|25006)/.test(code)
}

/** Everything that this program keeps, made on the first start. One of several that start at once does it, the others wait. */
export function prepare() {
  return ask(`
    select pg_advisory_xact_lock(7400);
    create table if not exists orders (id uuid primary key, item text not null, at timestamptz not null default now());
    create table if not exists invoices (order_id uuid primary key references orders, term bigint not null);
    create table if not exists desk (one boolean primary key default true check (one), term bigint not null);
    insert into desk (term) values (0) on conflict do nothing`)
}

export const close = () => pool.end()
