/** Copies a backup into a data folder, each file checked while it is copied. Runs in a thread (bulk-thread.ts). */
import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream, mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { UnderstudyError } from '../../../errors.ts'
import { DATA, type ListedFile, readBackup } from './backup-files.ts'

export interface BackupCopyJob {
  /** The backup's folder. */
  readonly from: string
  /** An empty folder. */
  readonly to: string
  /** Which backup it has to be. */
  readonly sums: string
}

/** Throws UND_REFUSED when it is another backup, or is damaged. */
export async function copyBackup(
  { from, to, sums }: BackupCopyJob,
  progress: (bytes: number, total: number) => void,
): Promise<void> {
  const { record, files } = readBackup(from)
  if (record.sums !== sums) throw anotherBackup(from)
  for (const path of record.folders) mkdirSync(join(to, path), { recursive: true, mode: 0o700 })
  let bytes = 0
  for (const file of files) {
    bytes += await copyChecked(join(from, DATA), to, file)
    progress(bytes, record.bytes)
  }
}

function anotherBackup(from: string): UnderstudyError {
  return new UnderstudyError('UND_REFUSED', `${from} is another backup than the one that was to be restored`)
}

/** Resolves to its bytes. Throws UND_REFUSED when it is not what the backup lists. */
export async function copyChecked(from: string, to: string, { path, sha256 }: ListedFile): Promise<number> {
  const target = join(to, path)
  mkdirSync(dirname(target), { recursive: true, mode: 0o700 })
  const hash = createHash('sha256')
  let bytes = 0
  const source = createReadStream(join(from, path))
  source.on('data', (chunk) => {
    hash.update(chunk)
    bytes += chunk.length
  })
  await pipeline(source, createWriteStream(target, { mode: 0o600 }))
  if (hash.digest('hex') !== sha256)
    throw new UnderstudyError('UND_REFUSED', `the backup is damaged: ${join(from, path)} is not what was written`)
  return bytes
}
