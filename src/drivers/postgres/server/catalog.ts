/**
 * What we keep in the database itself: one row for each quorum that was in force, and a pulse.
 *
 * The quorum row is an ordinary transaction, so it returns when the quorum of its moment has it, and with it everything
 * that was written before: the WAL is one sequence. That makes one insert the proof of two things: after a promotion
 * that the new quorum works, and after a crash that nothing is visible any more that the quorum does not have.
 */
import type pg from 'pg'
import type { QuorumConfig } from '../../../core/replicated/quorum-config.ts'
import { verifierOf } from '../../../lib/scram.ts'
import type { BootstrapOptions } from '../options.ts'
import { REPLICATION_ROLE } from '../role-names.ts'
import type { Row, Session } from './admin-session.ts'

const SCHEMA = `
create schema if not exists understudy;
create table if not exists understudy.quorum_rows (
  seq bigint generated always as identity primary key,
  term bigint not null,
  promotion text not null,
  id text not null,
  primary_node text not null,
  standbys text[] not null,
  k int not null,
  timeline int not null,
  at_lsn pg_lsn not null,
  next_xid xid8 not null,
  noted_at timestamptz not null default now()
);
create table if not exists understudy.pulse (one boolean primary key default true check (one), beat bigint not null);
insert into understudy.pulse values (true, 0) on conflict do nothing;
`

/** What pg_rewind and the other replicas need; a superuser is not needed for it. */
const GRANTS = `
grant usage on schema understudy to ${REPLICATION_ROLE};
grant select on all tables in schema understudy to ${REPLICATION_ROLE};
grant execute on function pg_catalog.pg_ls_dir(text, boolean, boolean) to ${REPLICATION_ROLE};
grant execute on function pg_catalog.pg_stat_file(text, boolean) to ${REPLICATION_ROLE};
grant execute on function pg_catalog.pg_read_binary_file(text) to ${REPLICATION_ROLE};
grant execute on function pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean) to ${REPLICATION_ROLE};
grant execute on function pg_catalog.pg_control_checkpoint() to ${REPLICATION_ROLE};
`

/** The password is text here. */
export type Bootstrap = Pick<BootstrapOptions, 'database' | 'owner'> & { readonly password: string | null }

/**
 * Idempotent, and for term 1 alone. Waits for no quorum: standbys cannot connect before their role is there, and no
 * client is admitted yet. Rows of any other promotion came with the data from the cluster that it was of, and say
 * nothing about this one.
 */
export async function prepareCatalog(
  session: Session,
  promotion: string,
  replicationPassword: string,
  bootstrap: Bootstrap,
) {
  await session.query('set synchronous_commit = local')
  try {
    await prepare(session, replicationPassword, bootstrap)
    await session.query('delete from understudy.quorum_rows where promotion <> $1', [promotion])
  } finally {
    await session.query('reset synchronous_commit')
  }
}

async function prepare(session: Session, replicationPassword: string, bootstrap: Bootstrap) {
  await session.query(SCHEMA)
  // As a verifier: a server that is set to md5 would otherwise keep a password with which no replica can log in.
  await ensureRole(session, REPLICATION_ROLE, 'login replication', null)
  // One that came with the data has the password of another cluster.
  const verifier = literal(verifierOf(replicationPassword))
  await session.query(`alter role ${REPLICATION_ROLE} login replication password ${verifier}`)
  await session.query(GRANTS)
  if (bootstrap.owner !== null) await ensureRole(session, bootstrap.owner, 'login', bootstrap.password)
  if (bootstrap.database !== null) {
    const [there] = await session.query('select 1 from pg_database where datname = $1', [bootstrap.database])
    const owner = bootstrap.owner === null ? '' : ` owner ${ident(bootstrap.owner)}`
    if (!there) await session.query(`create database ${ident(bootstrap.database)}${owner}`, [], 30_000)
  }
}

async function ensureRole(session: Session, name: string, attributes: string, password: string | null): Promise<void> {
  const [there] = await session.query('select 1 from pg_roles where rolname = $1', [name])
  if (there) return
  // As a verifier: a statement may be logged.
  const secret = password === null ? '' : ` password ${literal(verifierOf(password))}`
  await session.query(`create role ${ident(name)} ${attributes}${secret}`)
}

export function ident(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

export function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}

const INSERT_QUORUM_ROW = `
insert into understudy.quorum_rows (term, promotion, id, primary_node, standbys, k, timeline, at_lsn, next_xid)
select $1, $2, $3, $4, $5, $6, ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int,
       pg_current_wal_lsn(), pg_snapshot_xmax(pg_current_snapshot())`

/**
 * Writes the row, and returns the position that its quorum must have. That the statement came back proves nothing: it
 * does so as well when its wait was cancelled (trap 8), and in servers before the minor versions of May 2025 when it
 * came so soon after the start that no write waits yet (trap 11). `client` is a connection of its own: it may wait for
 * long.
 */
export async function insertQuorumRow(client: pg.Client, quorum: QuorumConfig, promotion: string): Promise<string> {
  await client.query(INSERT_QUORUM_ROW, [quorum.term, promotion, quorum.id, quorum.primary, quorum.standbys, quorum.k])
  const { rows } = await client.query('select pg_current_wal_flush_lsn()::text as it')
  return String((rows[0] as Row).it)
}

/** Have `k` of the standbys all WAL up to `log`, on their disks? */
export async function isOnQuorum(client: pg.Client, { standbys, k }: QuorumConfig, log: string): Promise<boolean> {
  const { rows } = await client.query(
    `select count(distinct application_name)::int as it from pg_stat_replication
     where application_name = any($1) and flush_lsn >= $2::pg_lsn`,
    [standbys, log],
  )
  return Number((rows[0] as Row).it) >= k
}

/** The newest quorum config that this replica has replayed. */
export function quorumFromRow(row: Row): QuorumConfig | null {
  if (typeof row.quorum_id !== 'string') return null
  return {
    term: Number(row.quorum_term),
    primary: String(row.quorum_primary),
    standbys: row.quorum_standbys as string[],
    k: Number(row.quorum_k),
    id: row.quorum_id,
  }
}

export const NEWEST_QUORUM = `
select id as quorum_id, term as quorum_term, primary_node as quorum_primary, standbys as quorum_standbys, k as quorum_k
from understudy.quorum_rows order by seq desc limit 1`
