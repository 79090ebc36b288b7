/**
 * What a diverged copy has to give up before it may follow again: kept in a folder, and named in a sentence. Nobody was
 * told that any of it is safe, but somebody may want to know what it was: the log from the fork on, and, as far as they can
 * still be read, the rows that were written after it.
 */
import { execFile } from 'node:child_process'
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import type { Position } from '../../../core/replicated/quorum-config.ts'
import type { Member } from '../member.ts'
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

/** Call while the server still runs as a standby that receives from nobody. Returns the sentence. */
export async function keepDiscarded(member: Member, divergence: Divergence): Promise<string> {
  const { folder, clock, options, tell } = member.parts
  const { mine, fork, why } = divergence
  const at = new Date(clock.wall()).toISOString().replaceAll(':', '').replace(/\..*/, '')
  const place = join(folder.discarded, `${at}-term${mine.term}-timeline${mine.timeline}`)
  mkdirSync(place, { recursive: true, mode: 0o700 })
  const bytes = BigInt(mine.log) - fork
  tell(`keeping ${bytes} bytes of log that the primary does not have`)
  const segments = copySegments(member, divergence, place)
  const rows = await keepRows(member, divergence, join(place, 'rows.jsonl')).catch((error: unknown) => {
    writeFileSync(join(place, 'rows.error'), `${String(error)}\n`)
    return null
  })
  await dumpLog(member, divergence, place)
  const told = {
    node: member.parts.node,
    why,
    term: mine.term,
    timeline: mine.timeline,
    from: formatLsn(fork),
    to: formatLsn(BigInt(mine.log)),
    bytes: bytes.toString(),
    segments,
    rows,
  }
  writeFileSync(join(place, 'divergence.json'), `${JSON.stringify(told, null, 2)}\n`)
  keepYoungest(folder.discarded, options.limits.discardedKept)
  const count = rows === null ? 'rows not readable' : `${rows} row${rows === 1 ? '' : 's'}`
  return `gave up ${bytes} bytes of log (${count}) from ${told.from} to ${told.to}, ${why}: kept in ${place}`
}

function copySegments(member: Member, { mine, fork, segmentBytes }: Divergence, place: string): number {
  const wal = join(member.parts.folder.data, 'pg_wal')
  const last = (BigInt(mine.log) - 1n) / segmentBytes
  const most = BigInt(member.parts.options.limits.discardedMb) * 1_048_576n
  let copied = 0
  for (const name of readdirSync(wal).sort()) {
    const parsed = parseWalName(name, segmentBytes)
    const mineToo =
      parsed && parsed.timeline === mine.timeline && parsed.segment >= fork / segmentBytes && parsed.segment <= last
    if (!mineToo || BigInt(copied + 1) * segmentBytes > most) continue
    copyFileSync(join(wal, name), join(place, name))
    copied += 1
  }
  return copied
}

/** A readable list of what the log holds, where there is a tool for it. */
async function dumpLog(member: Member, { mine, fork }: Divergence, place: string): Promise<void> {
  const { binaries } = member.parts
  if (binaries.waldump === null) return
  const range = ['-t', String(mine.timeline), '-s', formatLsn(fork), '-e', formatLsn(BigInt(mine.log))]
  // Exit code 1 is usual: the log simply ends. What was printed until then is what there is.
  const { stdout } = await run(binaries.waldump, ['-p', place, ...range], {
    env: { ...binaries.env, LC_ALL: 'C' },
    maxBuffer: 16_777_216,
  }).catch((error: unknown) => ({ stdout: String((error as { stdout?: unknown }).stdout ?? '') }))
  if (stdout !== '') writeFileSync(join(place, 'log.txt'), stdout)
}

const TABLES = `
select n.nspname as schema, c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and c.relpersistence = 'p' and n.nspname not in ('pg_catalog', 'information_schema', 'understudy')
order by 1, 2`

/** A cast to JSON that people made for a type of theirs would be called, as a superuser. Objects of the server have lower numbers. */
const HAS_CASTS_OF_PEOPLE = `
select exists (select 1 from pg_cast where casttarget = 'json'::regtype and castfunc >= 16384) as it`

const MOST_ROWS = 10_000

/** Rows written by transactions that the new branch never saw: one JSON object each. */
async function keepRows(member: Member, { nextXid }: Divergence, path: string): Promise<number | null> {
  if (nextXid === null) return null
  const databases = await member.session.query(
    'select datname from pg_database where datallowconn and not datistemplate order by 1',
  )
  let kept = 0
  for (const { datname } of databases) {
    kept += await keepRowsOf(member, String(datname ?? DATABASE), nextXid, path, MOST_ROWS - kept)
  }
  return kept
}

async function keepRowsOf(
  member: Member,
  database: string,
  nextXid: string,
  path: string,
  most: number,
): Promise<number> {
  const { clock } = member.parts
  const { socketDir, port } = member.socket
  const client = new pg.Client({
    host: socketDir,
    port,
    user: SUPERUSER,
    database,
    options: OWN_NAMES_ONLY,
    statement_timeout: 30_000,
  })
  client.on('error', () => {}) // whoever waits for an answer hears of it there
  const query = async (text: string, values: unknown[] = []) =>
    (await within(clock, 31_000, 'the rows', client.query(text, values))).rows as Record<string, unknown>[]
  let kept = 0
  try {
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
      for (const { row } of rows) {
        appendFileSync(path, `${JSON.stringify({ database, table: `${schema}.${name}`, row })}\n`, { mode: 0o600 })
      }
      kept += rows.length
    }
    return kept
  } finally {
    destroy(client)
  }
}

function keepYoungest(folder: string, count: number): void {
  if (!existsSync(folder)) return
  const byAge = readdirSync(folder)
    .map((name) => join(folder, name))
    .sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs)
  for (const old of byAge.slice(count)) rmSync(old, { recursive: true, force: true })
}
