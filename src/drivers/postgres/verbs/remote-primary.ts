/** What a replica asks the primary that it is about to follow: is it the one, and what is its history? */
import type { QuorumConfig } from '../../../core/replicated/quorum-config.ts'
import { UnderstudyError } from '../../../errors.ts'
import { until } from '../../../lib/until.ts'
import type { PrimaryAddress } from '../../replica-driver.ts'
import { TABLESPACES, type Tablespace } from '../copy/tablespaces.ts'
import { slotName } from '../files/server-settings.ts'
import type { Replica } from '../replica.ts'
import { destroy, type Row, remoteClient, unlessOvertaken, within } from '../server/admin-session.ts'
import { CAPACITY_JSON, type Capacity, parseCapacity } from '../server/standby-capacity.ts'
import { type Branch, type Fork, parseHistory, parseLineage, parseLsn } from '../server/wal-position.ts'

export interface PrimaryFacts {
  /** False: it is about to be promoted, and what it says is of the WAL that it will continue. */
  readonly isPromoted: boolean
  readonly systemId: string
  /** Its major version. */
  readonly version: number
  readonly timeline: number
  /** Where older timelines of its history ended. */
  readonly history: readonly Fork[]
  readonly log: bigint
  /** The promotion that made it what it is. */
  readonly promotion: string
  /** Under which promotions what it has was written, and what it will write. */
  readonly lineage: readonly Branch[]
  /** Every promotion in its own history: a replica that followed another one has something that it does not have. */
  readonly promotions: readonly string[]
  /** The timeline of its last checkpoint: a rewind looks at that (trap 21). */
  readonly checkpointTimeline: number
  /** The last sixteen digits of the name of its oldest WAL file; null when that is not known. */
  readonly oldestLog: string | null
  /** What a standby of it needs at least as much of. */
  readonly capacity: Capacity
  /** It has a slot for the one who asks, and that can be used. */
  readonly hasSlot: boolean
}

/** Asked again and again while it is promoted, so nothing more than that. */
const LEADS = "select pg_is_in_recovery() as recovery, coalesce(current_setting('understudy.term', true), '') as term"

const factsFor = (slot: string) => `
select current_setting('server_version_num')::int / 10000 as version,
  coalesce(current_setting('understudy.promotion', true), '') as promotion,
  coalesce(current_setting('understudy.lineage', true), '') as lineage,
  (select timeline_id from pg_control_checkpoint()) as checkpoint_timeline,
  (select min(substr(name, 9)) from pg_ls_dir('pg_wal', true, false) as name where name ~ '^[0-9A-F]{24}$') as oldest_log,
  exists (select from pg_replication_slots where slot_name = '${slot}' and wal_status is distinct from 'lost') as has_slot,
  ${CAPACITY_JSON} as capacity,
  (select coalesce(string_agg(distinct promotion, ','), '') from understudy.quorum_rows) as promotions`

/**
 * Waits until it is the primary of the term, for as long as a promotion may take; with `about-to-lead` only until its
 * quorum is in force. From then on it receives nothing, so its WAL stays as it is until it is promoted.
 */
export async function factsOf(
  replica: Replica,
  quorum: QuorumConfig,
  primary: PrimaryAddress,
  signal: AbortSignal,
  when: 'leads' | 'about-to-lead' = 'leads',
): Promise<PrimaryFacts> {
  const { clock, options } = replica.parts
  let last: unknown
  const what = `the primary of term ${quorum.term}`
  const patience = { clock, everyMs: 5, withinMs: options.timing.promoteMs, what, signal }
  return until(patience, async () => {
    try {
      return await ask(replica, quorum, primary, signal, when)
    } catch (error) {
      signal.throwIfAborted() // recruiting waits for this: it must not have to wait for the patience above
      if (error instanceof UnderstudyError && error.code === 'UND_REFUSED') throw error // waiting makes it no better
      last = error
      return null
    }
  }).catch((error: unknown) => {
    if (error instanceof UnderstudyError && error.code === 'UND_REFUSED') throw error
    throw new UnderstudyError('UND_TIMED_OUT', `${primary.node} cannot be followed: ${String(last)}`, { cause: error })
  })
}

async function ask(
  replica: Replica,
  quorum: QuorumConfig,
  primary: PrimaryAddress,
  signal: AbortSignal,
  when: 'leads' | 'about-to-lead',
): Promise<PrimaryFacts> {
  const { clock, options } = replica.parts
  const client = remoteClient(primary, replica.parts.replicationPassword)
  const query = async (text: string): Promise<Row> => {
    const result = await within(clock, options.timing.statementMs, 'the primary', client.query(text))
    return result.rows[0] as Row
  }
  const text = factsFor(slotName(replica.parts.node)) // nothing in it needs quoting
  try {
    await within(clock, options.timing.statementMs, 'the primary', client.connect())
    let isPromoted = false
    await until({ clock, everyMs: 3, withinMs: options.timing.promoteMs, what: 'a promotion', signal }, async () => {
      const row = await query(LEADS)
      if (Number(row.term) > quorum.term) {
        throw new UnderstudyError('UND_REFUSED', `${primary.node} is primary in term ${row.term} already`)
      }
      isPromoted = row.recovery === false
      return Number(row.term) === quorum.term && (isPromoted || when === 'about-to-lead')
    })
    const facts = await query(text)
    const system = await query('IDENTIFY_SYSTEM')
    const timeline = Number(system.timeline)
    const history = timeline === 1 ? null : await query(`TIMELINE_HISTORY ${timeline}`)
    return {
      isPromoted,
      systemId: String(system.systemid),
      version: Number(facts.version),
      timeline,
      history: parseHistory(history ? String(history.content) : ''),
      log: parseLsn(String(system.xlogpos)),
      promotion: String(facts.promotion),
      lineage: readLineage(String(facts.lineage), primary),
      promotions: String(facts.promotions).split(',').filter(Boolean),
      checkpointTimeline: Number(facts.checkpoint_timeline),
      oldestLog: typeof facts.oldest_log === 'string' ? facts.oldest_log : null,
      capacity: parseCapacity(facts.capacity),
      hasSlot: facts.has_slot === true,
    }
  } finally {
    destroy(client)
  }
}

function readLineage(text: string, primary: PrimaryAddress): readonly Branch[] {
  const lineage = parseLineage(text)
  if (lineage) return lineage
  throw new UnderstudyError('UND_REFUSED', `${primary.node} does not say which promotions its log is of`)
}

/** Its tablespaces; null when it does not say. */
export async function tablespacesOf(replica: Replica, primary: PrimaryAddress): Promise<readonly Tablespace[] | null> {
  const { clock, options } = replica.parts
  const client = remoteClient(primary, replica.parts.replicationPassword)
  try {
    await within(clock, options.timing.statementMs, 'the primary', client.connect())
    return (await within(clock, options.timing.statementMs, 'the primary', client.query(TABLESPACES))).rows
  } catch {
    return null // the way that does not depend on it is taken
  } finally {
    destroy(client)
  }
}

/** The first transaction number of the primary's present term: what an older branch used from there on is its own. */
export async function nextXidOf(
  replica: Replica,
  quorum: QuorumConfig,
  primary: PrimaryAddress,
): Promise<string | null> {
  const { clock, options } = replica.parts
  const client = remoteClient(primary, replica.parts.replicationPassword)
  try {
    await within(clock, options.timing.statementMs, 'the primary', client.connect())
    const text = `select next_xid::text as xid from understudy.quorum_rows where term = ${Number(quorum.term)} order by seq limit 1`
    const { rows } = await within(clock, options.timing.statementMs, 'the primary', client.query(text))
    return (rows[0] as Row | undefined)?.xid as string | null
  } catch {
    return null // only what is shown of the rows depends on it
  } finally {
    destroy(client)
  }
}

/**
 * Makes sure of this replica's slot on the primary. One that lost what it held back, because that was more than a slot
 * may hold (trap 23), can never be used again.
 */
export async function renewSlot(replica: Replica, primary: PrimaryAddress): Promise<void> {
  const { clock, options, node } = replica.parts
  const client = remoteClient(primary, replica.parts.replicationPassword)
  const name = slotName(node) // nothing in it needs quoting
  const ask = (text: string) => within(clock, options.timing.statementMs, 'the primary', client.query(text))
  try {
    await within(clock, options.timing.statementMs, 'the primary', client.connect())
    const its = `from pg_replication_slots where slot_name = '${name}'`
    await unlessOvertaken(
      ask(`select pg_drop_replication_slot(slot_name) ${its} and wal_status = 'lost' and not active`),
    )
    // Between the look and the making, in one statement too, the primary may make it for us.
    await unlessOvertaken(
      ask(`select pg_create_physical_replication_slot('${name}', true) where not exists (select 1 ${its})`),
    )
  } finally {
    destroy(client)
  }
}
