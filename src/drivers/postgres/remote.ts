/** What a member asks the primary that it is about to follow: is it the one, and what is its history? */
import type { Rule } from '../../core/replica.ts'
import { UnderstudyError } from '../../errors.ts'
import { until } from '../../lib/until.ts'
import type { PrimaryAddress } from '../replica.ts'
import type { Member } from './member.ts'
import { type Fork, parseHistory, parseLsn } from './position.ts'
import { destroy, type Row, remoteClient, within } from './session.ts'
import { slotName } from './settings.ts'

export interface PrimaryFacts {
  readonly systemId: string
  /** Its major version. */
  readonly version: number
  readonly timeline: number
  /** Where older timelines of its history ended. */
  readonly history: readonly Fork[]
  readonly log: bigint
  /** The promotion that made it what it is. */
  readonly promotion: string
  /** Every promotion in its own history: whoever followed another one has something that it does not have. */
  readonly promotions: readonly string[]
  /** The timeline of its last checkpoint: a rewind looks at that (trap 21). */
  readonly checkpointTimeline: number
}

const FACTS = `
select pg_is_in_recovery() as recovery, current_setting('server_version_num')::int / 10000 as version, coalesce(current_setting('understudy.term', true), '') as term,
  coalesce(current_setting('understudy.promotion', true), '') as promotion,
  (select timeline_id from pg_control_checkpoint()) as checkpoint_timeline,
  (select coalesce(string_agg(distinct promotion, ','), '') from understudy.rules) as promotions`

/** Waits until it is the primary of `rule`'s term, for as long as a promotion may take. */
export async function factsOf(member: Member, rule: Rule, primary: PrimaryAddress): Promise<PrimaryFacts> {
  const { clock, options } = member.parts
  let last: unknown
  const patience = { clock, everyMs: 5, withinMs: options.timing.promoteMs, what: `the primary of term ${rule.term}` }
  return until(patience, async () => {
    try {
      return await ask(member, rule, primary)
    } catch (error) {
      last = error
      return null
    }
  }).catch((error: unknown) => {
    throw new UnderstudyError('UND_TIMED_OUT', `${primary.node} cannot be followed: ${String(last)}`, { cause: error })
  })
}

async function ask(member: Member, rule: Rule, primary: PrimaryAddress): Promise<PrimaryFacts | null> {
  const { clock, options } = member.parts
  const client = remoteClient(primary, member.parts.replicationPassword, 'sql')
  const query = async (text: string): Promise<Row> => {
    const result = await within(clock, options.timing.statementMs, 'the primary', client.query(text))
    return result.rows[0] as Row
  }
  try {
    await within(clock, options.timing.statementMs, 'the primary', client.connect())
    const facts = await until(
      { clock, everyMs: 3, withinMs: options.timing.promoteMs, what: 'a promotion' },
      async () => {
        const row = await query(FACTS)
        if (Number(row.term) > rule.term) {
          throw new UnderstudyError('UND_REFUSED', `${primary.node} leads in term ${row.term} already`)
        }
        return row.recovery === false && Number(row.term) === rule.term ? row : null
      },
    )
    const system = await query('IDENTIFY_SYSTEM')
    const timeline = Number(system.timeline)
    const history = timeline === 1 ? null : await query(`TIMELINE_HISTORY ${timeline}`)
    return {
      systemId: String(system.systemid),
      version: Number(facts.version),
      timeline,
      history: parseHistory(history ? String(history.content) : ''),
      log: parseLsn(String(system.xlogpos)),
      promotion: String(facts.promotion),
      promotions: String(facts.promotions).split(',').filter(Boolean),
      checkpointTimeline: Number(facts.checkpoint_timeline),
    }
  } finally {
    destroy(client)
  }
}

/** The slot that this member will stream from. A primary makes those of its rule itself; who is to come in is not in it yet. */
export async function ensureSlotOn(member: Member, primary: PrimaryAddress): Promise<void> {
  const { clock, options, node } = member.parts
  const client = remoteClient(primary, member.parts.replicationPassword, 'sql')
  const name = slotName(node) // letters, digits and _: it may stand in a statement as it is
  const text = `select pg_create_physical_replication_slot('${name}')
    where not exists (select 1 from pg_replication_slots where slot_name = '${name}')`
  try {
    await within(clock, options.timing.statementMs, 'the primary', client.connect())
    await within(clock, options.timing.statementMs, 'the primary', client.query(text))
  } finally {
    destroy(client)
  }
}

/** The first transaction number of the primary's present term: what an older branch used from there on is its own. */
export async function nextXidOf(member: Member, rule: Rule, primary: PrimaryAddress): Promise<string | null> {
  const { clock, options } = member.parts
  const client = remoteClient(primary, member.parts.replicationPassword, 'sql')
  try {
    await within(clock, options.timing.statementMs, 'the primary', client.connect())
    const text = `select next_xid::text as xid from understudy.rules where term = ${Number(rule.term)} order by seq limit 1`
    const { rows } = await within(clock, options.timing.statementMs, 'the primary', client.query(text))
    return (rows[0] as Row | undefined)?.xid as string | null
  } catch {
    return null // only what is shown of the rows depends on it
  } finally {
    destroy(client)
  }
}
