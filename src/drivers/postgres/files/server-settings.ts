/**
 * The file understudy.conf in the data folder, included at the end of postgresql.conf. Users' settings come first in it
 * and ours last, so ours win. Each of ours has a reason; the config refuses users' values for them (`refusedSettings`).
 *
 * postgresql.auto.conf (ALTER SYSTEM) is read after all of this. Settings that never change are on the command line as
 * well, where no file can overrule them while the server runs: Patroni does the same with what must be equal
 * everywhere. The rest is taken out of postgresql.auto.conf at each start and soon after it was put there (`takeBack`),
 * and recruiting and promoting check with SHOW what is really in force.
 */
import { createHash } from 'node:crypto'
import { chmodSync, existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { NodeName } from '../../../core/model.ts'
import type { QuorumConfig } from '../../../core/replicated/quorum-config.ts'
import type { PostgresOptions } from '../options.ts'
import { DATABASE, REPLICATION_ROLE } from '../role-names.ts'
import { PRESET_CAPACITY } from '../server/standby-capacity.ts'
import type { Branch } from '../server/wal-position.ts'
import { decodes, SYNCHRONISES_SLOTS } from '../slots/logical-slots.ts'
import { synchronousStandbyNames } from '../verbs/synchronous-standbys.ts'
import type { Folder } from './replica-folder.ts'

export interface Situation {
  readonly node: NodeName
  readonly address: string
  readonly port: number
  readonly version: number
  readonly options: PostgresOptions
  /** What it leads under; null: it leads nothing. */
  readonly leading: QuorumConfig | null
  /** The promotions of its history; the last one made it a primary, and stays when the quorum changes. */
  readonly lineage: readonly Branch[]
  /** Empty: it does not receive. */
  readonly conninfo: string
  /** It is primary, and no standby can confirm a write. */
  readonly writesWait: boolean
  /** Its server knows tablespaces in place. */
  readonly inPlace: boolean
  readonly hbaFile: string
  /** The folder of its sockets. */
  readonly sockets: string
  /** Standbys that must have a change before a consumer of a synchronised slot gets it (logical-slots.ts). */
  readonly confirming: readonly NodeName[]
}

type Value = string | number | boolean

/** What may only be ours, and why. Anything else is the user's. */
export const OWN_SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: 'the balancer and the other replicas must find it',
  port: 'the balancer and the other replicas must find it',
  unix_socket_directories: 'only the agent connects there',
  unix_socket_permissions: 'only the agent connects there',
  hba_file: 'who may connect depends on the state of this replica; use the option hba',
  cluster_name: 'it shows in the titles of the processes',
  hot_standby: 'a standby is asked how far it is',
  fsync: 'what is acknowledged must survive a power cut',
  full_page_writes: 'what is acknowledged must survive a power cut',
  synchronous_commit: 'anything less is acknowledged before the quorum has it (trap 12)',
  synchronous_standby_names: 'this is the rule',
  primary_conninfo: 'whom it receives from is decided by the cluster',
  primary_slot_name: 'each replica has its slot on each other replica',
  restore_command: 'log from elsewhere could be of a foreign branch (trap 5)',
  recovery_target_timeline: 'standbys go along with every promotion',
  wal_log_hints: 'pg_rewind needs it where there are no checksums (trap 22)',
  restart_after_crash:
    'a restart inside the server makes unacknowledged commits visible (trap 9): the agent must do it',
  wal_retrieve_retry_interval: 'the 5 s of the default would be 5 s of a failover',
  wal_receiver_timeout: '60 s by default: too late to notice anything (trap 26)',
  wal_sender_timeout: '60 s by default: too late to notice anything (trap 26)',
  wal_receiver_status_interval: 'how far standbys are is looked at all the time',
  max_slot_wal_keep_size: 'the slot of a dead standby must not fill the disk (trap 23); use the option limits.heldLog',
  wal_keep_size: 'a replica that returns soon should not have to be cloned; use limits.keptLog',
  allow_in_place_tablespaces: 'a copy on the machine of its source has its tablespaces in its data folder',
  sync_replication_slots: 'standbys take over logical slots where wal_level is logical',
  synchronized_standby_slots: 'no consumer may get a change that a failover could still lose',
  data_directory: 'use the option data',
  promote_trigger_file: 'promotion is decided by the cluster',
}

/** Users' names among ours, each with a sentence; the config complains with it. */
export function refusedSettings(settings: PostgresOptions['settings']): readonly string[] {
  return Object.keys(settings).flatMap((name) => {
    const why = OWN_SETTINGS[name.toLowerCase()]
    if (why !== undefined) return [`${name} is set by Understudy: ${why}`]
    if (name === 'wal_level' && !['replica', 'logical'].includes(String(settings[name]))) {
      return ['wal_level must be replica or logical: standbys live on it']
    }
    if (name === 'hot_standby_feedback' && decodes(settings) && !isOn(settings[name])) {
      return ['hot_standby_feedback must be on with wal_level logical: standbys keep the rows that logical slots need']
    }
    return []
  })
}

/** For good, and on every replica: losing one of these while the server runs would lose acknowledged writes, or a failover. */
const FIXED: Readonly<Record<string, Value>> = {
  hot_standby: true,
  fsync: true,
  full_page_writes: true,
  synchronous_commit: 'on',
  restore_command: '',
  recovery_target_timeline: 'latest',
  wal_log_hints: true,
  restart_after_crash: false,
}

/** The same, where the config asks for logical decoding: a server that is to synchronise slots and does not decode ends at once. */
export function decodingArguments(settings: PostgresOptions['settings']): string[] {
  return decodes(settings) ? ['-c', 'wal_level=logical'] : []
}

/** For the postmaster's command line. */
export function fixedArguments(): string[] {
  return Object.entries(FIXED).flatMap(([name, value]) => ['-c', `${name}=${bare(value)}`])
}

export function settingsText(situation: Situation): string {
  const { options, leading, node } = situation
  const own: Record<string, Value> = {
    listen_addresses: situation.address,
    port: situation.port,
    unix_socket_directories: situation.sockets,
    hba_file: situation.hbaFile,
    cluster_name: node,
    ...FIXED,
    // The standbys of the quorum of this primary; a standby has none.
    synchronous_standby_names: leading ? synchronousStandbyNames(leading) : '',
    primary_conninfo: situation.conninfo,
    primary_slot_name: situation.conninfo === '' ? '' : slotName(node),
    wal_retrieve_retry_interval: '100ms',
    wal_receiver_timeout: `${options.timing.walTimeoutMs}ms`,
    wal_sender_timeout: `${options.timing.walTimeoutMs}ms`,
    wal_receiver_status_interval: '1s',
    max_slot_wal_keep_size: `${options.limits.slotKeepMb}MB`,
    wal_keep_size: `${options.limits.walKeepMb}MB`,
    unix_socket_permissions: '0700',
    ...(situation.inPlace ? { allow_in_place_tablespaces: true } : {}),
    ...slotSettings(situation),
    // A follower asks for these before it receives, and remembers which promotions what it receives is of (traps 19,
    // 20).
    'understudy.term': leading?.term ?? 0,
    'understudy.promotion': leading ? (situation.lineage.at(-1)?.id ?? '') : '',
    'understudy.lineage': leading ? JSON.stringify(situation.lineage) : '',
    ...(leading && situation.writesWait ? { default_transaction_read_only: true } : {}),
  }
  // May be raised by users; what PostgreSQL has by default would do, too.
  const preset: Record<string, Value> = {
    wal_level: 'replica',
    max_wal_senders: PRESET_CAPACITY.max_wal_senders,
    max_replication_slots: PRESET_CAPACITY.max_replication_slots,
    ...reserved(options),
  }
  const lines = (settings: Readonly<Record<string, Value>>) =>
    Object.entries(settings).map(([name, value]) => `${name} = ${quote(value)}`)
  const all = [...lines({ ...preset, ...options.settings }), ...lines(own)]
  return [
    '# Written by Understudy at every change: edits are lost. Settings of yours go into the config.',
    ...all,
    // A session that shows this has read all of the above.
    `${MARK} = '${markOf(all)}'`,
    '',
  ].join('\n')
}

/** A setting of ours without any meaning but that it is another one whenever the file is. */
export const MARK = 'understudy.settings'

function markOf(lines: readonly string[]): string {
  return createHash('sha256').update(lines.join('\n')).digest('hex').slice(0, 16)
}

/** The mark in a file that was written; '' when there is none. */
export function markIn(text: string): string {
  return new RegExp(`^${MARK} = '(\\w+)'$`, 'm').exec(text)?.[1] ?? ''
}

/** The names of all settings in such a file. */
export function namesIn(text: string): string[] {
  return text.split('\n').flatMap((line) => (line.startsWith('#') || !line.includes('=') ? [] : nameIn(line)))
}

/** Our sessions, the spare one, and one each for a quorum row and a checkpoint, besides PostgreSQL's own 3 for an operator. */
const RESERVED = 6
/** A server for fewer clients than this keeps PostgreSQL's own 3: the rest must be enough for its clients. */
const SMALL = 30

function reserved({ settings, adopt }: PostgresOptions): Record<string, Value> {
  const most = Number(settings.max_connections ?? 100)
  return adopt || !(most >= SMALL) ? {} : { superuser_reserved_connections: RESERVED }
}

function isOn(value: Value | undefined): boolean {
  return ['true', 'on', 'yes', '1'].includes(String(value).toLowerCase())
}

/** What logical slots need to be carried; nothing where the config does not ask for logical decoding. */
function slotSettings({ options, version, confirming }: Situation): Record<string, Value> {
  if (!decodes(options.settings)) return {}
  const own = { hot_standby_feedback: true }
  if (version < SYNCHRONISES_SLOTS) return own
  return { ...own, sync_replication_slots: true, synchronized_standby_slots: confirming.map(slotName).join(',') }
}

function quote(value: Value): string {
  return typeof value === 'string' ? `'${value.replaceAll("'", "''").replaceAll('\\', '\\\\')}'` : bare(value)
}

function bare(value: Value): string {
  if (typeof value === 'boolean') return value ? 'on' : 'off'
  return String(value)
}

/**
 * The file that a receiver takes its password from: it fits one primary and no other. A receiver that was decided on
 * before the replica was recruited, and starts when it follows the next primary already, still goes to the old one, and
 * is refused there.
 */
export function keyText(to: { readonly host: string; readonly port: number }, password: string): string {
  const escaped = (text: string) => text.replaceAll('\\', '\\\\').replaceAll(':', '\\:')
  return `${escaped(to.host)}:${to.port}:*:${REPLICATION_ROLE}:${escaped(password)}\n`
}

/** How a receiver reaches its primary. The password is not in it but in a file that recruiting removes (recruit-server.ts). */
export function conninfo(
  to: { readonly host: string; readonly port: number },
  node: NodeName,
  keyPath: string,
  timing: PostgresOptions['timing'],
  synchronisesSlots: boolean,
): string {
  const parts: Record<string, Value> = {
    host: to.host,
    port: to.port,
    user: REPLICATION_ROLE,
    // Of no use to a receiver: the worker that synchronises logical slots asks in it which there are.
    ...(synchronisesSlots ? { dbname: DATABASE } : {}),
    passfile: keyPath,
    // What a quorum is counted by: the node's name, never shared (trap 6).
    application_name: node,
    // A receiver that is about to connect holds up recruiting for this long (trap 4).
    connect_timeout: Math.max(2, Math.ceil(timing.connectMs / 1_000)),
    tcp_user_timeout: timing.walTimeoutMs,
    // For the sender's end of it: a sender that is told to end first says so to its receiver, without any deadline, and a
    // checkpoint that gives its slot up waits for that. A frozen receiver would hold up checkpoints until the disk is full.
    options: `-c tcp_user_timeout=${timing.walTimeoutMs}`,
    sslmode: 'prefer',
    gssencmode: 'disable',
  }
  return Object.entries(parts)
    .map(([name, value]) => `${name}='${String(value).replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`)
    .join(' ')
}

/** Slot names may only hold a-z, 0-9 and _: what does not fit is spelled out in hexadecimal. */
export function slotName(node: NodeName): string {
  return `understudy_${[...node].map((c) => (/[a-z0-9]/.test(c) ? c : `_${c.codePointAt(0)?.toString(16)}_`)).join('')}`
}

/** Replaces a file that the server reads. No sync: what must survive is in the record, and this is made anew from it. */
export function replaceFile(folder: Folder, path: string, text: string | Buffer): void {
  const beside = `${path}.new`
  writeFileSync(beside, text, { mode: 0o600 })
  chmodSync(beside, 0o600)
  folder.own(beside)
  renameSync(beside, path)
}

const INCLUDE = "include_if_exists = 'understudy.conf'"

/** Makes postgresql.conf include our file, once and last, and takes our names out of postgresql.auto.conf. */
export function includeOurs(folder: Folder, dataDir: string): void {
  const main = join(dataDir, 'postgresql.conf')
  const lines = readFileSync(main, 'utf8').trimEnd().split('\n')
  if (lines.at(-1) !== INCLUDE) {
    const theirs = lines.filter((line) => line !== INCLUDE).join('\n')
    replaceFile(folder, main, `${theirs.trimEnd()}\n\n${INCLUDE}\n`)
  }
  takeBack(folder, dataDir)
}

/** Names of ours that were set with ALTER SYSTEM. */
export function alteredSettings(dataDir: string): readonly string[] {
  return namesAltered(dataDir).filter(isOurs)
}

/** All names that were set with ALTER SYSTEM. */
export function namesAltered(dataDir: string): readonly string[] {
  return linesOf(autoConf(dataDir)).map(nameIn)
}

/** Takes our names out of postgresql.auto.conf by hand: for a server that does not run, or does not do it itself. */
export function takeBack(folder: Folder, dataDir: string): void {
  const lines = linesOf(autoConf(dataDir))
  const kept = lines.filter((line) => !isOurs(nameIn(line)))
  if (kept.length < lines.length) replaceFile(folder, autoConf(dataDir), kept.join('\n'))
}

const autoConf = (dataDir: string) => join(dataDir, 'postgresql.auto.conf')
const linesOf = (path: string) => (existsSync(path) ? readFileSync(path, 'utf8').split('\n') : [])
const nameIn = (line: string) => line.split('=')[0]?.trim().toLowerCase() ?? ''
const isOurs = (name: string) => Object.hasOwn(OWN_SETTINGS, name)
