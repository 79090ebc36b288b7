/**
 * pg_hba.conf in two states, and with WAL for others only while this replica is primary: a standby that was told to
 * follow it at another time would get WAL of another promotion than it wrote down (trap 20).
 *
 * Open: every client with a password. Closed: only our own session, the other replicas and the balancers. It is closed
 * while this replica holds, or may hold, unacknowledged writes: after the restart of a primary that crashed (trap 9),
 * before the quorum row of a promotion is durable, on a former primary until it is known whether it diverged, and while
 * one ends.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { PostgresOptions } from '../options.ts'
import { BALANCER_ROLE, DATABASE, REPLICATION_ROLE, SUPERUSER } from '../role-names.ts'
import type { Folder } from './replica-folder.ts'

export type Entry = 'open' | 'closed'

export function hbaText(entry: Entry, leads: boolean, options: Pick<PostgresOptions, 'hba'>): string {
  return [
    '# Written by Understudy at every change: edits are lost. Lines of yours go into the config (hba).',
    // The socket lies in a folder that only the server's account can enter.
    `local all ${SUPERUSER} trust`,
    // Replicas log in with the password that recruiting takes away from a receiver: never trust here.
    `host replication ${REPLICATION_ROLE} all ${leads ? 'scram-sha-256' : 'reject'}`,
    // What they ask, and base backups: a backup is best taken from a standby.
    `host ${DATABASE} ${REPLICATION_ROLE} all scram-sha-256`,
    `host all ${REPLICATION_ROLE} all reject`,
    // What a balancer may ask here is the same on every replica, so it may ask at any time.
    `host ${DATABASE} ${BALANCER_ROLE} all scram-sha-256`,
    `host all,replication ${BALANCER_ROLE} all reject`,
    ...(entry === 'open' ? [...options.hba, 'host all all all scram-sha-256'] : []),
    '',
  ].join('\n')
}

/** The lines of a pg_hba.conf that was there before: who may connect. */
export function keptEntries(folder: Folder): string[] {
  const path = join(folder.data, 'pg_hba.conf')
  if (!existsSync(path)) return []
  return readFileSync(path, 'utf8')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
}
