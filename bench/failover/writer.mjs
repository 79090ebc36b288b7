/**
 * The client of the failover bench, a process of its own so that nothing but its database can hold it up: the same for
 * every system that is compared. It inserts a row every 10 ms over one connection, in turn over the hosts when that breaks,
 * and remembers what was acknowledged. A second connection does nothing at all until it is asked afterwards whether it
 * still works, and a third, straight to the primary, tries to commit there while the primary is frozen.
 *
 * All moments are of the machine's monotonic clock, which this process and the bench share.
 */
import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'

const EVERY_MS = 10
/** Longer, and the client gives up, throws the connection away and goes on with the next host. */
const PATIENCE_MS = 2_000

const now = () => Number(process.hrtime.bigint()) / 1e6

let target
let at = 0 // which of the hosts
let nextId = 1
let stopped = false
let writing = Promise.resolve()
let acknowledged = []
let acks = [] // moments, of the window that is being watched
let errors = []
let idle
let idleBroke = null
let phantom

async function connect(host) {
  const { user, password, database } = target
  const client = new pg.Client({ ...host, user, password, database, connectionTimeoutMillis: PATIENCE_MS })
  client.on('error', () => {}) // the call that waits for an answer rejects with it
  try {
    await bounded(client.connect())
  } catch (error) {
    drop(client)
    throw error
  }
  return client
}

/** A session with a server that takes writes, as `target_session_attrs=read-write` of libpq finds it. */
async function connectToPrimary() {
  for (;;) {
    const host = target.hosts[at % target.hosts.length]
    let client
    try {
      client = await connect(host)
      const { rows } = await bounded(client.query('show transaction_read_only'))
      if (rows[0].transaction_read_only === 'off') return client
    } catch {
      // Not this one, then.
    }
    if (client) drop(client)
    if (stopped) throw new Error('stopped')
    at += 1
    if (at % target.hosts.length === 0) await pause(EVERY_MS)
  }
}

/** Is it over one of the hosts that are to be used now? */
function isWanted({ host }) {
  return target.hosts.some((one) => one.host === host)
}

async function bounded(promise, ms = PATIENCE_MS) {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(Object.assign(new Error('no answer'), { code: 'NO_ANSWER' })), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
    promise.catch(() => {}) // it may still fail when nothing waits any more
  }
}

/** Without a farewell: the other end may be frozen. */
function drop(client) {
  client.connection.stream.destroy()
}

async function write() {
  let client
  let due = now()
  while (!stopped) {
    due = Math.max(due + EVERY_MS, now())
    await pause(Math.max(0, due - now()))
    if (client && !isWanted(client)) {
      drop(client)
      client = undefined
    }
    client ??= await connectToPrimary().catch(() => undefined)
    if (!client) continue
    const id = nextId++
    try {
      await bounded(client.query('insert into ledger (id) values ($1)', [id]))
      acknowledged.push(id)
      acks.push(now())
    } catch (error) {
      errors.push(error.code ?? error.message)
      drop(client)
      client = undefined
    }
  }
  if (client) await bounded(client.end(), 1_000).catch(() => {})
}

const orders = {
  async begin(wanted) {
    target = wanted
    const client = await connectToPrimary()
    await client.query('create table ledger (id bigint primary key, at timestamptz default now())')
    await client.end()
    writing = write()
    await acknowledgedMore(20)
  },

  /** The window begins. Only `hosts` are used from now on; `direct` is the primary's own address. */
  async watch({ hosts, direct }) {
    target.hosts = hosts
    if (idle && !isWanted(idle)) {
      drop(idle)
      idle = undefined
    }
    if (!idle) {
      idle = await connectToPrimary()
      idleBroke = null
      idle.on('error', (error) => {
        idleBroke ??= error.code ?? error.message
      })
      await idle.query("set application_name = 'idle between statements'")
      await idle.query({ name: 'kept', text: 'select 1 as one' })
    }
    if (phantom) drop(phantom.client)
    phantom = direct ? { client: await connect(direct), id: null, acknowledged: false } : undefined
    acks = acks.slice(-1)
    errors = []
  },

  /** A commit on the server that is frozen, or not the primary any more: never to be acknowledged and then gone. */
  async haunt({ id }) {
    if (!phantom) return
    const mine = phantom
    mine.id = id
    mine.client.query('insert into ledger (id) values ($1)', [id]).then(
      () => {
        mine.acknowledged = true
        acknowledged.push(id)
      },
      () => {}, // refused, or cut: as it should be
    )
  },

  async acknowledged({ since, more }) {
    return acks.filter((ack) => ack > since).length >= more
  },

  /** What clients saw since `watch`; `from`: the moment of the fault. */
  async report({ from }) {
    let last = acks.findLast((ack) => ack <= from) ?? from
    let longestGapMs = 0
    for (const ack of acks.filter((ack) => ack > from)) {
      longestGapMs = Math.max(longestGapMs, ack - last)
      last = ack
    }
    const idleError = await askIdle()
    return {
      longestGapMs,
      failed: errors.length,
      errors,
      idleError,
      phantomAcknowledged: phantom?.acknowledged ?? false,
    }
  },

  /** Acknowledged before the question was asked, and not there. Each is counted once. */
  async verify() {
    const due = [...acknowledged]
    const client = await connectToPrimary()
    try {
      const { rows } = await client.query('select id::int from ledger')
      const there = new Set(rows.map(({ id }) => id))
      const lost = due.filter((id) => !there.has(id))
      acknowledged = acknowledged.filter((id) => !lost.includes(id))
      return { acknowledged: due.length, lost }
    } finally {
      await client.end()
    }
  },

  async end() {
    stopped = true
    await writing
    for (const client of [idle, phantom?.client]) if (client) drop(client)
  },
}

/** Does the connection that did nothing meanwhile still work, with its prepared statement? Null when it does. */
async function askIdle() {
  let error = idleBroke
  try {
    if (!error) await bounded(idle.query({ name: 'kept', text: 'select 1 as one' }))
  } catch (failure) {
    error = failure.code ?? failure.message
  }
  if (error) {
    drop(idle)
    idle = undefined
  }
  return error
}

async function acknowledgedMore(more) {
  const wanted = acknowledged.length + more
  while (acknowledged.length < wanted) await pause(5)
}

process.on('message', async ({ call, of, number }) => {
  try {
    process.send({ number, answer: (await orders[call](of ?? {})) ?? null })
  } catch (error) {
    process.send({ number, error: error.message })
  }
})
process.on('disconnect', () => process.exit(1)) // the bench is gone
