/** The sessions of clients on a server, as it shows them itself: whether each has a transaction open, and since when. */
import { BALANCER_ROLE } from '../role-names.ts'
import type { Row, Session } from './admin-session.ts'

/** Those of balancers' own logins and of agents are no client's. `starting`, from 18 on: it waits for the client's password. */
const SESSIONS = `
select pid, usename as who, application_name as program, state like 'idle in%' as idle_inside,
  coalesce(state, 'begins') not in ('idle', 'disabled', 'starting') as busy,
  state = 'active' and query like '/* understudy: %' as asked,
  extract(epoch from clock_timestamp() - coalesce(xact_start, query_start, backend_start)) * 1000 as for_ms
from pg_stat_activity
where backend_type = 'client backend' and pid <> pg_backend_pid() and usename is distinct from '${BALANCER_ROLE}'
  and application_name is distinct from 'understudy'`

export interface ClientSessionRow {
  /** A transaction is open, a statement runs, or it is about to begin. */
  readonly busy: boolean
  /** What runs is a question of its balancer, and no transaction of the client. */
  readonly isAsked: boolean
  /** How long for. */
  readonly forMs: number
  readonly row: Row
}

export async function clientSessions(session: Session): Promise<ClientSessionRow[]> {
  const rows = await session.query(SESSIONS)
  return rows.map((row) => ({ busy: row.busy === true, isAsked: row.asked === true, forMs: Number(row.for_ms), row }))
}

/** Its client has a transaction open. */
export function isInTransaction({ busy, isAsked }: ClientSessionRow): boolean {
  return busy && !isAsked
}

/** A sentence: how many transactions are open, and which is the oldest. `afterMs`: how long they were waited for. */
export function stillOpen(sessions: readonly ClientSessionRow[], afterMs: number): string {
  const oldest = sessions.toSorted((a, b) => b.forMs - a.forMs)[0]
  const { pid, who, program, idle_inside: isIdle } = oldest?.row ?? {}
  const count = sessions.length === 1 ? '1 transaction is' : `${sessions.length} transactions are`
  return (
    `${count} still open after ${seconds(afterMs)} (the oldest: process ${pid} of ${who}${program ? `, ${program}` : ''}, ` +
    `open${isIdle === true ? ' and idle' : ''} for ${seconds(oldest?.forMs ?? 0)})`
  )
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`
}
