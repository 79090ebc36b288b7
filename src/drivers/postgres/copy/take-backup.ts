/**
 * Takes a backup of a running server into a folder (backup-files.ts). It appears under its name by one rename, when every
 * file of it is on the disk; until then it is `<folder>.partial`, which is removed when anything goes wrong.
 *
 * Taken from a standby where there is one, so that the primary has no work of it. A standby may be behind: so the primary is
 * asked first how far it is, and the backup begins when the standby has replayed up to there. That is what makes the promise
 * true that everything acknowledged before the backup was begun is in it.
 */
import { createHash } from 'node:crypto'
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { UnderstudyError } from '../../../errors.ts'
import type { Clock } from '../../../lib/clock.ts'
import { until } from '../../../lib/until.ts'
import type { PrimaryAddress } from '../../replica-driver.ts'
import { syncTree } from '../files/replica-folder.ts'
import { POSTGRES_DEFAULTS } from '../options.ts'
import { copiedFrom, destroy, type Row, remoteClient, within } from '../server/admin-session.ts'
import { formatLsn, parseLsn } from '../server/wal-position.ts'
import { type BackupRecord, DATA, RECORD, SUMS, sumsText } from './backup-files.ts'
import { takeWholeCopy } from './bulk-work.ts'
import type { WholeCopy } from './server-copy.ts'
import { placeTablespaces, type Tablespace } from './tablespaces.ts'

export interface BackupRequest {
  readonly cluster: string
  readonly service: string
  readonly source: PrimaryAddress & { readonly role: 'primary' | 'standby' }
  /** The primary, which says how far a standby has to be; null: there is none, and the standby has what there is. */
  readonly primary: PrimaryAddress | null
  /** The replication password (replica-setup.ts). */
  readonly password: string
  /** Must not be there, or be empty. */
  readonly folder: string
  readonly clock: Clock
  progress(bytes: number, total: number): void
  readonly signal: AbortSignal
}

const ANSWER_MS = 5_000
const CATCH_UP_MS = 60_000

/** Rejects with UND_REFUSED when a server or a disk says no, and leaves nothing then. */
export async function takeBackup(request: BackupRequest): Promise<BackupRecord> {
  try {
    return await take(request)
  } catch (error) {
    throw ofDisk(error)
  }
}

async function take(request: BackupRequest): Promise<BackupRecord> {
  const { folder, clock } = request
  if (existsSync(folder) && readdirSync(folder).length > 0)
    throw new UnderstudyError('UND_REFUSED', `${folder} is not empty: a backup overwrites nothing`)
  const partial = `${folder}.partial`
  if (existsSync(partial)) {
    const why = `${partial} is there: another backup is being made, or one was cut off; then remove it`
    throw new UnderstudyError('UND_REFUSED', why)
  }
  mkdirSync(join(partial, DATA), { recursive: true, mode: 0o700 })
  try {
    const takenAt = new Date(clock.wall()).toISOString()
    const facts = await ask(request)
    const copy = await copyInto(join(partial, DATA), request, facts.version)
    const record = write(partial, request, { takenAt, ...facts, copy })
    await syncTree(partial)
    renameSync(partial, folder)
    syncFolder(dirname(folder))
    return record
  } catch (error) {
    rmSync(partial, { recursive: true, force: true })
    throw error
  }
}

/** What a server says is said by name (`copiedFrom`): what else has a code is said of the disk. */
function ofDisk(cause: unknown): unknown {
  const { code, message } = cause as NodeJS.ErrnoException
  if (cause instanceof UnderstudyError || code === undefined) return cause
  return new UnderstudyError('UND_REFUSED', `the backup cannot be written: ${message}`, { cause })
}

interface Facts {
  readonly version: number
  readonly systemId: string
}

async function ask(request: BackupRequest): Promise<Facts> {
  const { primary, source } = request
  const wanted = primary ? await asking(request, primary, (query) => flushedOf(query)) : null
  return asking(request, source, async (query) => {
    const system = await query('IDENTIFY_SYSTEM')
    const row = await query("select current_setting('server_version_num')::int / 10000 as version")
    if (wanted !== null && source.role === 'standby') {
      const what = `${source.node} to have what ${primary?.node} had when this was begun`
      const patience = { clock: request.clock, everyMs: 50, withinMs: CATCH_UP_MS, what, signal: request.signal }
      await until(patience, async () => {
        const { here } = await query('select pg_last_wal_replay_lsn()::text as here')
        return typeof here === 'string' && parseLsn(here) >= wanted
      })
    }
    return { version: Number(row.version), systemId: String(system.systemid) }
  })
}

async function flushedOf(query: (text: string) => Promise<Row>): Promise<bigint> {
  return parseLsn(String((await query('select pg_current_wal_flush_lsn()::text as here')).here))
}

async function asking<T>(
  { clock, password }: BackupRequest,
  whom: PrimaryAddress,
  work: (query: (text: string) => Promise<Row>) => Promise<T>,
): Promise<T> {
  const client = remoteClient(whom, password)
  try {
    await copiedFrom(whom.node, within(clock, ANSWER_MS, whom.node, client.connect()))
    return await work(async (text) => {
      const { rows } = await copiedFrom(whom.node, within(clock, ANSWER_MS, whom.node, client.query(text)))
      return rows[0] as Row
    })
  } finally {
    destroy(client)
  }
}

function copyInto(
  target: string,
  { source, password, signal, progress }: BackupRequest,
  version: number,
): Promise<WholeCopy> {
  // In the backup's data folder, whatever their locations are: they are restored as a part of it.
  const place = (tablespaces: readonly Tablespace[]) => placeTablespaces(tablespaces, true)
  const silentMs = POSTGRES_DEFAULTS.timing.copySilentMs
  const patience = { connectMs: ANSWER_MS, silentMs, signal }
  return takeWholeCopy({ from: source, password, ...patience, version, target, manifest: true, progress, place })
}

interface Taken extends Facts {
  readonly takenAt: string
  readonly copy: WholeCopy
}

function write(partial: string, { cluster, service, source }: BackupRequest, taken: Taken): BackupRecord {
  const { takenAt, version, systemId, copy } = taken
  const { files, folders } = copy
  const sums = sumsText(files)
  const record: BackupRecord = {
    format: 1,
    cluster,
    service,
    takenAt,
    from: { node: source.node, role: source.role },
    version,
    systemId,
    timeline: copy.timeline,
    fromLog: formatLsn(copy.fromLog),
    untilLog: formatLsn(copy.untilLog),
    bytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
    files: files.length,
    folders: folders.filter((path) => path !== ''),
    sums: createHash('sha256').update(sums).digest('hex'),
  }
  writeFileSync(join(partial, SUMS), sums, { mode: 0o600 })
  writeFileSync(join(partial, RECORD), `${JSON.stringify(record, null, 2)}\n`, { mode: 0o600 })
  return record
}

function syncFolder(path: string): void {
  const folder = openSync(path, 'r')
  fsyncSync(folder)
  closeSync(folder)
}
