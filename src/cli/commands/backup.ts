/**
 * Copies a database into a folder while it runs, and tells whether such a folder is whole. The source is found in the
 * cluster's status; the data itself comes over PostgreSQL's own replication protocol, with the replication password.
 */
import { resolve } from 'node:path'
import type { BackupRecord } from '../../drivers/postgres/copy/backup-files.ts'
import type { PrimaryAddress } from '../../drivers/replica-driver.ts'
import { UnderstudyError } from '../../errors.ts'
import { systemClock } from '../../lib/clock.ts'
import { derivedSecret } from '../../lib/derived-secret.ts'
import { type CommonOptions, openSession, type Session } from '../cluster-session.ts'
import { mustBeDatabase, serviceIn } from '../databases.ts'
import type { Io } from '../io.ts'
import { backupRoom } from '../lazy-rooms.ts'
import { Screen } from '../screen.ts'
import { type AddCommand, clusterCommand, printJson } from './command.ts'

interface BackupOptions extends CommonOptions {
  readonly to?: string
}

export const addBackup: AddCommand = (program, io, exit) => {
  clusterCommand(program, 'backup', 'copy a database into a folder while it runs', EXAMPLE)
    .argument('<service>', 'its name; or “verify”, to read a backup again and say whether it is whole')
    .argument('[folder]', 'with “verify”: the backup')
    .option('--to <folder>', 'where it goes: a folder that is not there yet, or is empty')
    .action(async (what: string, folder: string | undefined, options: BackupOptions) => {
      if (what === 'verify') return exit(await verify(io, folder, options))
      if (folder !== undefined || options.to === undefined)
        throw new UnderstudyError('UND_BAD_REQUEST', `say where it goes: understudy backup ${what} --to FOLDER`)
      await takeOne(io, openSession(io, options), what, resolve(io.cwd, options.to), options.json === true)
    })
}

async function takeOne(io: Io, session: Session, name: string, folder: string, json: boolean): Promise<void> {
  const service = mustBeDatabase(session, name).name
  const token = session.state.readToken() ?? ''
  const { takeBackup, replicationPurpose } = await backupRoom()
  const { source, primary } = await placesOf(session, service)
  const screen = new Screen(io.tty && !json)
  const stop = new AbortController()
  const abort = () => stop.abort(new UnderstudyError('UND_REFUSED', 'called off: nothing of it is left'))
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, abort)
  try {
    const record = await takeBackup({
      cluster: session.spec.name,
      service,
      source,
      primary,
      password: derivedSecret(token, replicationPurpose(service)),
      folder,
      clock: systemClock,
      progress: (bytes, total) => screen.draw([`copying from ${source.node}: ${share(bytes, total)}`]),
      signal: stop.signal,
    })
    screen.close()
    if (json) printJson(io, { folder, ...withoutFolders(record) })
    else for (const line of takenLines(folder, record)) io.out(line)
  } finally {
    screen.close()
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, abort)
  }
}

interface Places {
  readonly source: PrimaryAddress & { readonly role: 'primary' | 'standby' }
  readonly primary: PrimaryAddress | null
}

/** A healthy standby if there is one, so that the primary has no work of it. */
async function placesOf({ client }: Session, name: string): Promise<Places> {
  const status = await client.status()
  const hosts = new Map(status.nodes.map(({ name: node, address }) => [node, address]))
  const copies = serviceIn(status, name).instances.flatMap(({ node, role, port, healthy }) => {
    const host = hosts.get(node)
    const isCopy = role === 'primary' || role === 'standby'
    return healthy && isCopy && host !== undefined && port !== null ? [{ node, host, port, role }] : []
  })
  const primary = copies.find(({ role }) => role === 'primary') ?? null
  const source = copies.find(({ role }) => role === 'standby') ?? primary
  if (source) return { source, primary }
  throw new UnderstudyError('UND_REFUSED', `no replica of ${name} is healthy; run “understudy why ${name}”`)
}

async function verify(io: Io, path: string | undefined, { json, to }: BackupOptions): Promise<number> {
  if (path === undefined || to !== undefined)
    throw new UnderstudyError('UND_BAD_REQUEST', 'say which one: understudy backup verify FOLDER')
  const folder = resolve(io.cwd, path)
  const { verifyBackup } = await backupRoom()
  const screen = new Screen(io.tty && json !== true)
  const { record, bytes, complaints } = await verifyBackup(folder, (read) => screen.draw([`reading: ${inMb(read)} MB`]))
  screen.close()
  const whole = complaints.length === 0
  if (json) printJson(io, { folder, whole, complaints, ...withoutFolders(record) })
  else if (whole) io.out(`${folder} is whole: ${record.files} files, ${inMb(bytes)} MB, ${ofWhat(record)}.`)
  else for (const line of [`${folder} is not whole:`, ...complaints.map((one) => `  ${one}`)]) io.out(line)
  return whole ? 0 : 1
}

function takenLines(folder: string, record: BackupRecord): string[] {
  const { files, bytes, from, untilLog } = record
  return [
    `Copied ${inMb(bytes)} MB in ${files} files from ${from.node} (${from.role}), up to ${untilLog}: ${folder}`,
    `“understudy backup verify ${folder}” reads it again, “understudy restore ${record.service} --from ${folder}” makes a new cluster of it.`,
  ]
}

export function ofWhat({ service, cluster, version, takenAt }: BackupRecord): string {
  return `${service} of ${cluster} as it was at ${takenAt}, PostgreSQL ${version}`
}

function withoutFolders({ folders: _, ...record }: BackupRecord): Omit<BackupRecord, 'folders'> {
  return record
}

function share(bytes: number, total: number): string {
  return total > 0 ? `${inMb(bytes)} of about ${inMb(total)} MB` : `${inMb(bytes)} MB`
}

function inMb(bytes: number): number {
  return Math.round(bytes / 1e6)
}

const EXAMPLE = `understudy backup db --to /backups/db-monday
understudy backup verify /backups/db-monday`
