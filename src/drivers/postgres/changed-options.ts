/**
 * What a change of the options of `postgres()` means for its replicas. A setting is taken by a reload, unless PostgreSQL reads it only
 * when it starts.
 */
import { isSame } from '../../core/config-changes.ts'
import type { OptionsChange } from '../../core/options-change.ts'
import type { PostgresOptions } from './options.ts'
import { type CapacityName, NEEDED_OF_PRIMARY, PRESET_CAPACITY } from './server/standby-capacity.ts'

/** `context = 'postmaster'` in pg_settings of PostgreSQL 13 to 18, without what Understudy itself sets. */
const NEEDS_RESTART = new Set(
  (
    'archive_mode autovacuum_freeze_max_age autovacuum_max_workers autovacuum_multixact_freeze_max_age autovacuum_worker_slots ' +
    'bonjour bonjour_name commit_timestamp_buffers config_file debug_io_direct dynamic_shared_memory_type event_source ' +
    'external_pid_file file_copy_method huge_page_size huge_pages ident_file ignore_invalid_pages io_max_combine_limit ' +
    'io_max_concurrency io_method jit_provider logging_collector max_active_replication_origins max_connections ' +
    'max_files_per_process max_locks_per_transaction max_logical_replication_workers max_notify_queue_pages ' +
    'max_pred_locks_per_transaction max_prepared_transactions max_replication_slots max_wal_senders max_worker_processes ' +
    'min_dynamic_shared_memory multixact_member_buffers multixact_offset_buffers notify_buffers old_snapshot_threshold ' +
    'recovery_target recovery_target_action recovery_target_inclusive recovery_target_lsn recovery_target_name ' +
    'recovery_target_time recovery_target_xid reserved_connections serializable_buffers shared_buffers ' +
    'shared_memory_type shared_preload_libraries subtransaction_buffers superuser_reserved_connections ' +
    'track_activity_query_size track_commit_timestamp transaction_buffers unix_socket_group wal_buffers wal_decode_buffer_size ' +
    'wal_level'
  ).split(' '),
)

/** `session_preload_libraries` and the like are known by their names; an extension's own setting has a dot in it. */
const KNOWN_NAME = /^[a-z_]+$/i

export function postgresChange(before: PostgresOptions, after: PostgresOptions): OptionsChange {
  const refused = refusalOf(before, after)
  if (refused) return { needs: 'refused', ...refused }
  const settings = changedNames(before.settings, after.settings)
  const differs = (...names: (keyof PostgresOptions)[]) => names.filter((name) => !isSame(before[name], after[name]))
  const restart = [...differs('bin', 'port'), ...settings.filter((name) => NEEDS_RESTART.has(name.toLowerCase()))]
  const others = settings.filter((name) => !NEEDS_RESTART.has(name.toLowerCase()))
  const reload: string[] = differs('hba', 'tls', 'sessions', 'timing', 'limits')
  if (!isSame(before.bootstrap?.password, after.bootstrap?.password)) reload.push('password')
  const first = { ...before.bootstrap, password: after.bootstrap?.password }
  // Read when the first replica is made, and never again.
  const unread = [...(isSame(first, { ...after.bootstrap }) ? [] : ['bootstrap']), ...differs('adopt')]
  const what = [...restart, ...others, ...reload, ...unread.map((name) => `${name} (read at the first start only)`)]
  if (restart.length > 0) return { needs: 'restart', what, ...(lowers(before, after) && { primaryStays: true }) }
  if (others.some((name) => !KNOWN_NAME.test(name))) return { needs: 'reload-or-restart', what }
  return { needs: others.length + reload.length > 0 ? 'reload' : 'nothing', what }
}

/** Of the settings that standbys need at least as much of: outdated-server.ts says why the primary goes first then. */
function lowers(before: PostgresOptions, after: PostgresOptions): boolean {
  const valueIn = ({ settings }: PostgresOptions, name: CapacityName) => {
    const found = Object.entries(settings).findLast(([key]) => key.toLowerCase() === name)
    return Number(found?.[1] ?? PRESET_CAPACITY[name])
  }
  return NEEDED_OF_PRIMARY.some((name) => valueIn(after, name) < valueIn(before, name))
}

function refusalOf(before: PostgresOptions, after: PostgresOptions) {
  const instead =
    'make another service, copy the data with “understudy backup” and “understudy restore”, then remove this one'
  if (before.data !== after.data) return { what: ['data'], why: `its data folder cannot be changed: ${instead}` }
  if (before.user !== after.user)
    return {
      what: ['user'],
      why: `its data belongs to the account that it runs as, which cannot be changed: ${instead}`,
    }
  return undefined
}

function changedNames(before: PostgresOptions['settings'] = {}, after: PostgresOptions['settings'] = {}): string[] {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])]
  return names.filter((name) => before[name] !== after[name])
}
