/**
 * Copies a whole server over the replication protocol: BASE_BACKUP, unpacked as it comes. It becomes the data folder by one
 * rename when it is complete and on the disk; until then it is `data.new`, worthless, and removed by whoever comes next.
 *
 * The log that was written meanwhile is part of the copy, so the copy can stand without its source. From version 15 on the
 * server sends one stream of typed messages; 13 and 14 send bare tar archives.
 */
import { chmodSync, closeSync, existsSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import tar from 'tar-stream'
import { UnderstudyError } from '../../errors.ts'
import type { PrimaryAddress } from '../replica.ts'
import { syncTree } from './folder.ts'
import { type Member, makeStandby } from './member.ts'
import { parseLsn } from './position.ts'
import { destroy, remoteClient, within } from './session.ts'
import { includeOurs } from './settings.ts'

export interface CloneResult {
  readonly bytes: number
  /** Where the copy ends: before this it is not consistent. */
  readonly untilLog: bigint
}

/** Leaves the copy in `folder.fresh`; `adoptClone` makes it the data folder. */
export async function clone(member: Member, from: PrimaryAddress, signal: AbortSignal): Promise<CloneResult> {
  const { folder, options, clock, binaries, tell } = member.parts
  folder.removeFresh()
  mkdirSync(folder.fresh, { recursive: true, mode: 0o700 })
  const client = remoteClient(from, member.parts.replicationPassword, 'replication')
  const stop = () => destroy(client)
  signal.addEventListener('abort', stop)
  try {
    await within(clock, options.timing.statementMs * 2, `${from.node}`, client.connect())
    const unpacking = unpackInto(folder.fresh)
    const progress = new Progress((note) => tell(`copying from ${from.node}: ${note}`))
    const connection = rawConnection(client)
    let totalBytes = 0
    let paused = false
    connection.on('dataRow', (message: { fields?: unknown[] }) => {
      // The second result lists table spaces; its third column is their size in kB.
      if (message.fields?.length === 3) totalBytes += Number(message.fields[2] ?? 0) * 1_024
    })
    connection.on('copyData', (message: { chunk: Buffer }) => {
      const data = archiveBytes(message.chunk, binaries.version)
      if (!data) return
      progress.add(data.length, totalBytes)
      if (unpacking.write(data) || paused) return
      // The disk is slower than the network: nothing more until it has caught up.
      paused = true
      connection.stream.pause()
      unpacking.once('drain', () => {
        paused = false
        connection.stream.resume()
      })
    })
    const results = await Promise.race([client.query(backupCommand(binaries.version)), unpacking.failed])
    unpacking.end()
    await unpacking.done
    signal.throwIfAborted()
    await syncTree(folder.fresh)
    await folder.ownAll(folder.fresh)
    return { bytes: progress.bytes, untilLog: parseLsn(endOf(results)) }
  } finally {
    signal.removeEventListener('abort', stop)
    destroy(client)
  }
}

/** The copy takes the place of what was there, as a standby that receives from nobody yet. */
export function adoptClone(member: Member): void {
  const { folder } = member.parts
  includeOurs(folder, folder.fresh)
  for (const name of ['postmaster.pid', 'postmaster.opts']) rmSync(join(folder.fresh, name), { force: true })
  const old = `${folder.data}.old`
  rmSync(old, { recursive: true, force: true })
  if (existsSync(folder.data)) renameSync(folder.data, old)
  renameSync(folder.fresh, folder.data)
  rmSync(old, { recursive: true, force: true })
  makeStandby(folder)
}

function backupCommand(version: number): string {
  return version >= 15
    ? "BASE_BACKUP (LABEL 'understudy', PROGRESS true, CHECKPOINT 'fast', WAL true, WAIT false, MANIFEST 'no')"
    : "BASE_BACKUP LABEL 'understudy' PROGRESS FAST WAL NOWAIT MANIFEST 'no'"
}

/** The bytes of the archive in one message, undefined when it is about something else. */
function archiveBytes(chunk: Buffer, version: number): Buffer | undefined {
  if (version < 15) return chunk
  const kind = String.fromCharCode(chunk[0] ?? 0)
  if (kind === 'd') return chunk.subarray(1)
  // 'n': a new archive begins: its name, then the path of its table space, empty for the main one.
  if (kind === 'n' && !chunk.subarray(1).toString('latin1').startsWith('base.tar\0')) {
    throw new UnderstudyError(
      'UND_REFUSED',
      'a database with table spaces outside its data folder cannot be copied yet',
    )
  }
  return undefined
}

/** The last result that names a position: where the backup ended. */
function endOf(results: unknown): string {
  const list = Array.isArray(results) ? results : [results]
  const last = list
    .flatMap((result) => (result as { rows?: Record<string, unknown>[] }).rows ?? [])
    .findLast((row) => 'recptr' in row)
  return String(last?.recptr)
}

interface RawConnection {
  on(event: 'copyData', listener: (message: { chunk: Buffer }) => void): void
  on(event: 'dataRow', listener: (message: { fields?: unknown[] }) => void): void
  readonly stream: { pause(): void; resume(): void }
}

function rawConnection(client: unknown): RawConnection {
  return (client as { connection: RawConnection }).connection
}

class Progress {
  bytes = 0
  #toldAt = 0
  readonly #tell: (note: string) => void

  constructor(tell: (note: string) => void) {
    this.#tell = tell
  }

  add(bytes: number, total: number): void {
    this.bytes += bytes
    if (this.bytes - this.#toldAt < 4_000_000) return
    this.#toldAt = this.bytes
    const mb = (count: number) => Math.round(count / 1e6)
    this.#tell(total > 0 ? `${mb(this.bytes)} of ${mb(total)} MB` : `${mb(this.bytes)} MB`)
  }
}

interface Unpacking {
  write(data: Buffer): boolean
  once(event: 'drain', listener: () => void): void
  end(): void
  readonly done: Promise<void>
  /** Never resolves; rejects when unpacking failed. */
  readonly failed: Promise<never>
}

/** Writes synchronously: files come one after the other and are mostly small, and the disk's cache takes them at once. */
function unpackInto(target: string): Unpacking {
  const extract = tar.extract()
  let fail: (error: unknown) => void = () => {}
  const failed = new Promise<never>((_, reject) => {
    fail = reject
  })
  failed.catch(() => {}) // it is also told through `done`
  const done = new Promise<void>((resolve, reject) => {
    extract.once('finish', resolve)
    extract.once('error', (error) => {
      reject(error)
      fail(error)
    })
  })
  done.catch(() => {}) // whoever waits for it hears of it; nobody may have come that far
  extract.on('entry', (header, body, next) => {
    const path = normalize(join(target, header.name))
    if (path !== target && !path.startsWith(`${target}/`)) {
      extract.destroy(new Error(`an archive entry outside the archive: ${header.name}`))
      return
    }
    if (header.type === 'directory') {
      mkdirSync(path, { recursive: true, mode: 0o700 })
      chmodSync(path, 0o700)
      body.resume()
      body.on('end', next)
      return
    }
    if (header.type !== 'file') {
      extract.destroy(
        new UnderstudyError('UND_REFUSED', `the database has a link ${header.name}: it cannot be copied yet`),
      )
      return
    }
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    const file = openSync(path, 'w', 0o600)
    body.on('data', (chunk) => {
      try {
        writeSync(file, chunk as Buffer)
      } catch (error) {
        extract.destroy(error as Error) // a full disk, most likely
      }
    })
    body.on('end', () => {
      closeSync(file)
      next()
    })
  })
  return {
    write: (data) => extract.write(data),
    once: (event, listener) => extract.once(event, listener),
    end: () => {
      extract.end(null)
    },
    done,
    failed,
  }
}
