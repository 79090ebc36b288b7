/**
 * Does it do its work? On a primary: a committed write through a fresh connection, which takes everything that a client
 * takes: a new process, the disk, the quorum. On a standby: a read. A server whose disk is full panics and restarts in
 * a loop while every check of its process says that it lives (trap 24), so free space is checked, too.
 *
 * A probe that hangs in the wait for its quorum is left to hang, and no other is sent after it: cancelling it would
 * make an unacknowledged write visible, and many of them would use up the connections. A late result counts at the next
 * look: a server whose commits take longer than a probe may is slow, and not unhealthy.
 */
import { linkedLocations } from '../copy/tablespaces.ts'
import type { Replica } from '../replica.ts'
import { isFull, within } from './admin-session.ts'
import { speaksOfDamage } from './failed-start.ts'

export interface Verdict {
  readonly healthy: boolean
  /** Why not; when it is healthy, what an operator should know all the same, mostly nothing. */
  readonly note: string
  /** The server itself says that files of it are missing or damaged. */
  readonly damaged?: true
  /** It replays its WAL before it admits any client: at work, and neither healthy nor unhealthy. */
  readonly starting?: true
}

/** Roles that may write without waiting for a standby, because a role or a database says so (trap 12). */
const ASKED_FOR_LESS = `
select coalesce(string_agg(coalesce(role.rolname, base.datname, 'all roles'), ', ' order by 1), '') as who
from (select coalesce(setrole, 0) as role, coalesce(setdatabase, 0) as base from pg_db_role_setting
      where exists (select from unnest(setconfig) as one where one ~ '^synchronous_commit=(off|local|remote_write)$')) as set
left join pg_roles as role on role.oid = set.role left join pg_database as base on base.oid = set.base`

export class Probe {
  readonly #replica: Replica
  /** Under way, or succeeded since the last look. */
  #work: Promise<string> | undefined

  constructor(replica: Replica) {
    this.#replica = replica
  }

  async run(withinMs: number): Promise<Verdict> {
    const { folder, clock, options } = this.#replica.parts
    for (const path of [folder.data, ...linkedLocations(folder.data)]) {
      const free = folder.freeBytes(path)
      if (free >= options.limits.freeSpaceMb * 1_048_576) continue
      return { healthy: false, note: `only ${Math.floor(free / 1_048_576)} MB are free on the disk of ${path}` }
    }
    this.#work ??= this.#begin(withinMs)
    try {
      const who = await within(clock, withinMs, 'the probe', this.#work)
      this.#work = undefined
      return { healthy: true, note: who === '' ? '' : `acknowledged before a standby has it: what ${who} writes` }
    } catch (error) {
      // It answers, so it lives. Without a connection nothing more is known of it: what was true stays so.
      if (isFull(error)) return { healthy: this.#replica.run.healthy, note: `it is full: ${(error as Error).message}` }
      if (isStartingUp(error)) return { healthy: false, note: String((error as Error).message), starting: true }
      const note = await this.#explain(error, withinMs)
      return { healthy: false, note, ...(speaksOfDamage(error) ? { damaged: true } : {}) }
    }
  }

  /** Resolves to who asked for less than a quorum. */
  #begin(withinMs: number): Promise<string> {
    const { spare } = this.#replica
    const work = (async () => {
      const client = await spare.connect(withinMs)
      let isGood = false
      try {
        const { rows } = await client.query('select pg_is_in_recovery() as it')
        if (rows[0]?.it === false) await client.query('update understudy.pulse set beat = beat + 1')
        const who = rows[0]?.it === false ? (await client.query(ASKED_FOR_LESS)).rows[0]?.who : ''
        isGood = true
        return String(who ?? '')
      } finally {
        spare.giveBack(client, isGood)
      }
    })()
    work.catch(() => {
      if (this.#work === work) this.#work = undefined
    })
    return work
  }

  async #explain(error: unknown, withinMs: number): Promise<string> {
    const { postmaster, session } = this.#replica
    if (postmaster?.isFrozen) return 'stopped by a signal (SIGSTOP)'
    try {
      const row = await session.one(
        `select count(*)::int as waiting, (select count(*)::int from pg_stat_replication where state = 'streaming') as streaming
         from pg_stat_activity where wait_event = 'SyncRep'`,
        [],
        withinMs,
      )
      if (Number(row.waiting) > 0)
        return `commits blocked on synchronous replication: ${row.streaming} standbys streaming`
    } catch {
      // It does not answer this either: the first complaint says it all.
    }
    return error instanceof Error ? error.message : String(error)
  }
}

/** `cannot_connect_now`, which a server that shuts down says as well. */
function isStartingUp(error: unknown): boolean {
  const { code, message } = error as { code?: unknown; message?: unknown }
  return code === '57P03' && !/shutting down/.test(String(message))
}
