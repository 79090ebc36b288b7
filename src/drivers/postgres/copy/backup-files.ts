/**
 * What a backup is, on the disk:
 *
 *     <folder>/understudy-backup.json   what it is of, where it ends, and the checksum of the next file
 *     <folder>/SHA256SUMS               each file with its SHA-256, as `sha256sum -c` reads it
 *     <folder>/data/                    the data folder; in it PostgreSQL's own backup_manifest
 *
 * Two lists, because they say two things: PostgreSQL's own says what the server sent, ours what was written here. A backup
 * is whole when both agree with the files and nothing is there that neither names.
 */
import { createHash } from 'node:crypto'
import { createReadStream, existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join, relative } from 'node:path'
import { UnderstudyError } from '../../../errors.ts'
import { readJson } from '../../../lib/files.ts'
import { asOperating } from '../../driver-refusal.ts'

export const RECORD = 'understudy-backup.json'
export const SUMS = 'SHA256SUMS'
export const DATA = 'data'

export interface BackupRecord {
  readonly format: 1
  readonly cluster: string
  readonly service: string
  /** When it was begun (ISO 8601): everything that was acknowledged before is in it. */
  readonly takenAt: string
  readonly from: { readonly node: string; readonly role: 'primary' | 'standby' }
  /** PostgreSQL's major version: a replica made of it needs the same one. */
  readonly version: number
  readonly systemId: string
  readonly timeline: number
  readonly fromLog: string
  readonly untilLog: string
  readonly bytes: number
  readonly files: number
  /** Those that would be missing if only files were copied. */
  readonly folders: readonly string[]
  /** SHA-256 of SHA256SUMS. */
  readonly sums: string
}

export interface ListedFile {
  /** Within the data folder. */
  readonly path: string
  readonly sha256: string
}

/** Throws UND_REFUSED when it is none. */
export function readRecord(folder: string): BackupRecord {
  const record = refusing(() => readJson(join(folder, RECORD))) as BackupRecord | undefined
  if (record?.format !== 1 || !existsSync(join(folder, SUMS))) {
    throw new UnderstudyError('UND_REFUSED', `${folder} is no backup made by “understudy backup”, or not a whole one`)
  }
  return record
}

/** The record, and the list that it vouches for. Throws UND_REFUSED when one of them cannot be used. */
export function readBackup(folder: string): { readonly record: BackupRecord; readonly files: readonly ListedFile[] } {
  const record = readRecord(folder)
  const text = readFileSync(join(folder, SUMS), 'utf8')
  if (createHash('sha256').update(text).digest('hex') !== record.sums) {
    throw new UnderstudyError('UND_REFUSED', `${join(folder, SUMS)} is damaged: it is not the list that was written`)
  }
  return { record, files: parseSums(text) }
}

/** A backup lies outside of the state folder: a file of it that cannot be used is a refusal, with the same reason. */
function refusing<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw asOperating(new Error((error as Error).message, { cause: error }))
  }
}

export function sumsText(files: readonly ListedFile[]): string {
  return files.map(({ path, sha256 }) => `${sha256}  ${DATA}/${path}\n`).join('')
}

function parseSums(text: string): ListedFile[] {
  return text.split('\n').flatMap((line) => {
    const found = /^([0-9a-f]{64}) {2}data\/(.+)$/.exec(line)
    return found?.[1] && found[2] ? [{ sha256: found[1], path: found[2] }] : []
  })
}

export interface Verified {
  readonly record: BackupRecord
  readonly bytes: number
  /** Sentences; none: it is whole. */
  readonly complaints: readonly string[]
}

/** Reads every byte of it. */
export async function verifyBackup(folder: string, progress: (bytes: number) => void = () => {}): Promise<Verified> {
  const { record, files } = readBackup(folder)
  const complaints: string[] = []
  const listed = new Map(files.map(({ path, sha256 }) => [path, sha256]))
  let bytes = 0
  for (const [path, sha256] of listed) {
    const at = join(folder, DATA, path)
    if (!existsSync(at)) {
      complaints.push(`${DATA}/${path} is missing`)
      continue
    }
    if ((await sha256Of(at)) !== sha256) complaints.push(`${DATA}/${path} is damaged`)
    bytes += statSync(at).size
    progress(bytes)
  }
  for (const path of filesBelow(join(folder, DATA))) {
    if (!listed.has(path)) complaints.push(`${DATA}/${path} was not there when the backup was made`)
  }
  complaints.push(...againstManifest(join(folder, DATA), listed))
  return { record, bytes, complaints }
}

interface PostgresManifest {
  readonly Files: readonly {
    readonly Path?: string
    readonly 'Encoded-Path'?: string
    readonly 'Checksum-Algorithm'?: string
    readonly Checksum?: string
  }[]
}

/** What the server says that it sent. The WAL is not in its list. */
function againstManifest(data: string, listed: ReadonlyMap<string, string>): string[] {
  let manifest: PostgresManifest | undefined
  try {
    manifest = readJson(join(data, 'backup_manifest')) as PostgresManifest | undefined
  } catch (error) {
    return [(error as Error).message]
  }
  if (!Array.isArray(manifest?.Files)) return [`${DATA}/backup_manifest is missing or not a manifest`]
  return manifest.Files.flatMap((file) => {
    const path = file.Path ?? Buffer.from(file['Encoded-Path'] ?? '', 'hex').toString()
    const written = listed.get(path)
    if (written === undefined) return [`${DATA}/${path} was sent by the server and is not in ${SUMS}`]
    return file['Checksum-Algorithm'] === 'SHA256' && file.Checksum !== written
      ? [`${DATA}/${path} is not what the server sent`]
      : []
  })
}

export async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer)
  return hash.digest('hex')
}

function filesBelow(folder: string, top = folder): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    return entry.isDirectory() ? filesBelow(path, top) : [relative(top, path)]
  })
}
