/**
 * What a diverged replica has to give up before it may follow again: kept in a folder, and named in a sentence. None of
 * it was acknowledged, but an operator may want to know what it was: the WAL from the fork on, and, as far as they can
 * still be read, the rows that were written after it.
 */
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { appendFile, copyFile, rm, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import type { Position } from '../../../core/replicated/quorum-config.ts'
import type { Clock } from '../../../lib/clock.ts'
import type { Replica } from '../replica.ts'
import { DATABASE, SUPERUSER } from '../role-names.ts'
import { destroy, OWN_NAMES_ONLY, within } from '../server/admin-session.ts'
import { ident } from '../server/catalog.ts'
import { formatLsn, parseWalName } from '../server/wal-position.ts'

const run = promisify(execFile)

export interface Divergence {
  readonly mine: Position
  readonly fork: bigint
  readonly why: string
  readonly segmentBytes: bigint
  /** The first transaction number that the new branch used for itself; null: unknown. */
  readonly nextXid: string | null
}

/** In total. It is kept for a human to read later, and the replica's return waits for it. */
const KEEP_WITHIN_MS = 60_000

/** What one divergence may still cost: time for all of it together, and bytes for segments, rows and the list together. */
export class KeepBudget {
  readonly #clock: Clock
  readonly #untilMs: number
  #bytes: number
  /** A part was left out. */
  isSpent = false

  constructor(clock: Clock, withinMs: number, bytes: number) {
    this.#clock = clock
    this.#untilMs = clock.mono() + withinMs
    this.#bytes = bytes
  }

  /** Whole, and at least 1: a time-out of 0 is none. */
  get leftMs(): number {
    return Math.max(1, Math.ceil(this.#untilMs - this.#clock.mono()))
  }

  get leftBytes(): number {
    return this.#bytes
  }

  /** False when there is no time or room for so much: then it is left out. */
  take(bytes: number): boolean {
    if (this.#clock.mono() >= this.#untilMs || bytes > this.#bytes) {
      this.isSpent = true
      return false
    }
    this.#bytes -= bytes
    return true
  }
}

/**
 * Call while the server still runs as a standby that does not receive. Returns the sentence. Other threads and
 * PostgreSQL's own programs move the bytes, the agent only waits for them; the signal ends it between two of them.
 */
export async function keepDiscarded(replica: Replica, divergence: Divergence, signal: AbortSignal): Promise<string> {
  const { folder, clock, options, tell } = replica.parts
  const { mine, fork, why } = divergence
  const at = new Date(clock.wall()).toISOString().replaceAll(':', '').replace(/\..*/, '')
  const place = join(folder.discarded, `${at}-term${mine.term}-timeline${mine.timeline}`)
  mkdirSync(place, { recursive: true, mode: 0o700 })
  const bytes = BigInt(mine.log) - fork
  tell(`keeping ${bytes} bytes of log that the primary does not have`)
  const budget = new KeepBudget(clock, KEEP_WITHIN_MS, options.limits.discardedMb * 1_048_576)
  const keeping: Keeping = { ...divergence, place, budget, signal }
  const segments = await copySegments(replica, keeping)
  const rows = await keepRows(replica, keeping, join(place, 'rows.jsonl')).catch((error: unknown) => {
    signal.throwIfAborted()
    writeFileSync(join(place, 'rows.error'), `${String(error)}\n`)
    return null
  })
  await dumpLog(replica, keeping)
  const told = {
    node: replica.parts.node,
    why,
    term: mine.term,
    timeline: mine.timeline,
    from: formatLsn(fork),
    to: formatLsn(BigInt(mine.log)),
    bytes: bytes.toString(),
    segments,
    rows,
    complete: !budget.isSpent,
  }
  writeFileSync(join(place, 'divergence.json'), `${JSON.stringify(told, null, 2)}\n`)
  await keepYoungest(folder.discarded, options.limits.discardedKept)
  const count = rows === null ? 'rows not readable' : `${rows} row${rows === 1 ? '' : 's'}`
  return `gave up ${bytes} bytes of log (${count}) from ${told.from} to ${told.to}, ${why}: ${budget.isSpent ? 'a part is ' : ''}kept in ${place}`
}

interface Keeping extends Divergence {
  readonly place: string
  readonly budget: KeepBudget
  readonly signal: AbortSignal
}

async function copySegments(replica: Replica, keeping: Keeping): Promise<number> {
  const { mine, fork, segmentBytes, place, budget, signal } = keeping
  const wal = join(replica.parts.folder.data, 'pg_wal')
  const last = (BigInt(mine.log) - 1n) / segmentBytes
  let copied = 0
  for (const name of readdirSync(wal).sort()) {
    const parsed = parseWalName(name, segmentBytes)
    const mineToo =
      parsed && parsed.timeline === mine.timeline && parsed.segment >= fork / segmentBytes && parsed.segment <= last
    if (!mineToo || !budget.take(Number(segmentBytes))) continue
    signal.throwIfAborted()
    await copyFile(join(wal, name), join(place, name))
    copied += 1
  }
  return copied
}

/** A readable list of what the WAL holds, where there is a tool for it: written by the tool, up to the size allowed. */
async function dumpLog(replica: Replica, { mine, fork, place, budget, signal }: Keeping): Promise<void> {
  const { binaries } = replica.parts
  if (binaries.waldump === null) return
  signal.throwIfAborted()
  const path = join(place, 'log.txt')
  const range = ['-t', String(mine.timeline), '-s', formatLsn(fork), '-e', formatLsn(BigInt(mine.log))]
  const command = '"$0" "$@" | head -c "$MOST"'
  const env = {
    ...binaries.env,
    LC_ALL: 'C',
    PATH: process.env.PATH ?? '/usr/bin:/bin',
    MOST: String(Math.min(MOST_LIST, budget.leftBytes)),
  }
  // Exit code 1 is usual: the WAL simply ends. What was printed until then is kept.
  await run('/bin/sh', ['-c', `${command} > "$LIST"`, binaries.waldump, '-p', place, ...range], {
    env: { ...env, LIST: path },
    timeout: budget.leftMs,
    signal,
    killSignal: 'SIGKILL',
  }).catch(() => {}) // a truncated list is still useful
  signal.throwIfAborted()
  if (existsSync(path) && !budget.take(statSync(path).size)) await truncate(path, 0)
}

/** The most that the readable list may have, in bytes. */
const MOST_LIST = 16_777_216

const TABLES = `
select n.nspname as schema, c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and c.relpersistence = 'p' and n.nspname not in ('pg_catalog', 'information_schema', 'understudy')
order by 1, 2`

/** A user-defined cast to JSON would be called, as a superuser. Objects of the server have lower numbers. */
const HAS_CASTS_OF_PEOPLE = `
select exists (select 1 from pg_cast where casttarget = 'json'::regtype and castfunc >= 16384) as it`

const MOST_ROWS = 10_000

/** Rows written by transactions that the new branch never saw: one JSON object each. */
async function keepRows(replica: Replica, keeping: Keeping, path: string): Promise<number | null> {
  if (keeping.nextXid === null) return null
  const databases = await replica.session.query(
    'select datname from pg_database where datallowconn and not datistemplate order by 1',
  )
  let kept = 0
  for (const { datname } of databases) {
    kept += await keepRowsOf(replica, String(datname ?? DATABASE), keeping, path, MOST_ROWS - kept)
  }
  return kept
}

async function keepRowsOf(
  replica: Replica,
  database: string,
  { nextXid, budget, signal }: Keeping,
  path: string,
  most: number,
): Promise<number> {
  const { clock } = replica.parts
  const { socketDir, port } = replica.socket
  const client = new pg.Client({
    host: socketDir,
    port,
    user: SUPERUSER,
    database,
    options: OWN_NAMES_ONLY,
    statement_timeout: Math.ceil(budget.leftMs),
  })
  client.on('error', () => {}) // the error reaches the caller there
  const query = async (text: string, values: unknown[] = []) =>
    (await within(clock, budget.leftMs, 'the rows', client.query(text, values))).rows as Record<string, unknown>[]
  const stop = () => destroy(client)
  signal.addEventListener('abort', stop)
  let kept = 0
  try {
    signal.throwIfAborted()
    await within(clock, 2_000, 'a connection', client.connect())
    const [cast] = await query(HAS_CASTS_OF_PEOPLE)
    // The first calls nothing but output functions. `t.*`: a column may be called `t`.
    const written = cast?.it === true ? 'textin(record_out(t.*))' : 'to_jsonb(t.*)'
    for (const { schema, name } of await query(TABLES)) {
      const table = `${ident(String(schema))}.${ident(String(name))}`
      const rows = await query(
        `select ${written} as row from only ${table} t where age(t.xmin) <= age(($1::xid8)::xid) limit $2`,
        [nextXid, Math.max(0, most - kept)],
      )
      const lines = rows.map(({ row }) => `${JSON.stringify({ database, table: `${schema}.${name}`, row })}\n`)
      const fitting = lines.filter((line) => budget.take(Buffer.byteLength(line)))
      await appendFile(path, fitting.join(''), { mode: 0o600 })
      kept += fitting.length
    }
    return kept
  } finally {
    signal.removeEventListener('abort', stop)
    destroy(client)
  }
}

async function keepYoungest(folder: string, count: number): Promise<void> {
  if (!existsSync(folder)) return
  const byAge = readdirSync(folder)
    .map((name) => join(folder, name))
    .sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs)
  for (const old of byAge.slice(count)) await rm(old, { recursive: true, force: true })
}
