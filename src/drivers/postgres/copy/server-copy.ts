/**
 * BASE_BACKUP over the replication protocol: a whole server as one archive for each tablespace and one for the rest,
 * unpacked as they come. The WAL that was written meanwhile is part of it, so the result is complete without its
 * source.
 *
 * From version 15 on the server sends one stream of typed messages; 13 and 14 send bare archives, and PostgreSQL's own
 * manifest as one more stream after them.
 */
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { UnderstudyError } from '../../../errors.ts'
import type { Clock } from '../../../lib/clock.ts'
import type { PrimaryAddress } from '../../replica-driver.ts'
import { copiedFrom, destroy, remoteClient, within } from '../server/admin-session.ts'
import { SilenceDeadline } from '../server/silence-deadline.ts'
import { parseLsn } from '../server/wal-position.ts'
import { CopiedArchives } from './copied-archives.ts'
import { type PlacedTablespace, TABLESPACES, type Tablespace } from './tablespaces.ts'
import type { Told, UnpackedFile } from './unpack-tar.ts'

/** What can be handed to a thread. */
export interface WholeCopyJob {
  readonly from: PrimaryAddress
  /** Of the replication role. */
  readonly password: string
  /** Until the source has let us in, in ms. */
  readonly connectMs: number
  /** A source that has begun to send and then says nothing for so long (ms) is given up. */
  readonly silentMs: number
  /** The server's major version. */
  readonly version: number
  /** An empty folder. */
  readonly target: string
  /** For a backup: with PostgreSQL's own list of files, and ours. */
  readonly manifest: boolean
}

interface Receiving extends WholeCopyJob {
  readonly clock: Clock
  /** `total`: as far as the server can estimate it; 0: not known. */
  progress(bytes: number, total: number): void
  place(tablespaces: readonly Tablespace[]): Promise<readonly PlacedTablespace[]>
}

export interface WholeCopy {
  readonly bytes: number
  readonly timeline: number
  readonly fromLog: bigint
  /** Where it ends: before this it is not consistent. */
  readonly untilLog: bigint
  /** Each with its SHA-256; none without `manifest`: checksums take more time than everything else. */
  readonly files: readonly UnpackedFile[]
  readonly folders: readonly string[]
}

const MANIFEST = 'backup_manifest'
/** Before its first byte a server makes a checkpoint and counts what there is: that may take so many times as long. */
const BEGINS_WITHIN = 10

/** Runs in a thread (bulk-thread.ts), which is ended from outside. */
export async function receiveWholeCopy(request: Receiving): Promise<WholeCopy> {
  const { from, password, clock, connectMs } = request
  const client = remoteClient(from, password)
  try {
    await copiedFrom(from.node, within(clock, connectMs, from.node, client.connect()))
    const listed = await copiedFrom(from.node, within(clock, connectMs, from.node, client.query(TABLESPACES)))
    return await receive(client, request, await request.place(listed.rows as Tablespace[]))
  } finally {
    destroy(client)
  }
}

async function receive(
  client: ReturnType<typeof remoteClient>,
  request: Receiving,
  placed: readonly PlacedTablespace[],
): Promise<WholeCopy> {
  const { from, version, target, manifest, clock, silentMs } = request
  const files: UnpackedFile[] = []
  const folders: string[] = []
  const told: Told = manifest ? { file: (one) => files.push(one), folder: (path) => folders.push(path) } : {}
  const unpacking = new CopiedArchives(target, placed, told)
  const silence = new SilenceDeadline(clock, `${from.node}, which is being copied,`, silentMs, BEGINS_WITHIN * silentMs)
  const reader = new StreamReader(version, unpacking, silence, request)
  reader.listen((client as unknown as { connection: RawConnection }).connection)
  try {
    const copied = copiedFrom(from.node, client.query(backupCommand(version, manifest)))
    copied.catch(() => {}) // it may break after the base backup was given up
    const results = await Promise.race([copied, unpacking.failed, silence.tooLong])
    await unpacking.finish()
    if (manifest) {
      const bytes = reader.manifest()
      writeFileSync(join(target, MANIFEST), bytes, { mode: 0o600 })
      files.push({ path: MANIFEST, bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') })
    }
    const ends = positionsOf(results)
    const [first, last] = [ends[0], ends.at(-1)]
    if (!first || !last) throw new UnderstudyError('UND_REFUSED', 'the server did not say where the backup ends')
    return { bytes: reader.bytes, timeline: first.timeline, fromLog: first.log, untilLog: last.log, files, folders }
  } catch (error) {
    unpacking.fail(error as Error) // closes the file that it was in
    throw error
  } finally {
    silence.end()
  }
}

function backupCommand(version: number, manifest: boolean): string {
  const own = manifest ? 'yes' : 'no'
  if (version >= 15) {
    const sums = manifest ? ", MANIFEST_CHECKSUMS 'SHA256'" : ''
    return `BASE_BACKUP (LABEL 'understudy', PROGRESS true, CHECKPOINT 'fast', WAL true, WAIT false, MANIFEST '${own}'${sums})`
  }
  const sums = manifest ? " MANIFEST_CHECKSUMS 'SHA256'" : ''
  return `BASE_BACKUP LABEL 'understudy' PROGRESS FAST WAL NOWAIT MANIFEST '${own}'${sums}`
}

class StreamReader {
  bytes = 0
  readonly #version: number
  readonly #unpacking: CopiedArchives
  readonly #silence: SilenceDeadline
  readonly #request: Receiving
  readonly #manifest: Buffer[] = []
  #totalBytes = 0
  #paused = false
  /** Archives that are still to come, before version 15. */
  readonly #expected: (string | null)[] = []
  #inManifest = false

  constructor(version: number, unpacking: CopiedArchives, silence: SilenceDeadline, request: Receiving) {
    this.#version = version
    this.#unpacking = unpacking
    this.#silence = silence
    this.#request = request
  }

  listen(connection: RawConnection): void {
    connection.on('dataRow', (message) => {
      // The second result lists tablespaces, in the order in which they come; the data folder is one without a number.
      if (message.fields?.length !== 3) return
      const [oid, , kilobytes] = message.fields
      this.#expected.push(oid === null || oid === undefined ? null : String(oid))
      this.#totalBytes += Number(kilobytes ?? 0) * 1_024
    })
    connection.on('copyOutResponse', () => {
      if (this.#version >= 15) return
      const next = this.#expected.shift()
      this.#inManifest = next === undefined
      if (next !== undefined) this.#unpacking.begin(next)
    })
    connection.on('copyData', (message) => {
      this.#silence.heard()
      const data = this.#archiveBytes(message.chunk)
      if (!data) return
      this.bytes += data.length
      this.#request.progress(this.bytes, this.#totalBytes)
      if (this.#unpacking.write(data) || this.#paused) return
      // The disk is slower than the network: nothing more until it has caught up.
      this.#paused = true
      connection.stream.pause()
      this.#unpacking.once('drain', () => {
        this.#paused = false
        this.#silence.heard()
        connection.stream.resume()
      })
    })
  }

  manifest(): Buffer {
    if (this.#manifest.length === 0) throw new UnderstudyError('UND_REFUSED', 'the server sent no manifest')
    return Buffer.concat(this.#manifest)
  }

  /** The bytes of the archive in one message, undefined when it is about something else. */
  #archiveBytes(chunk: Buffer): Buffer | undefined {
    const kind = this.#version < 15 ? 'd' : String.fromCharCode(chunk[0] ?? 0)
    // Copied: the buffer belongs to the connection, which uses it again while the archive may still wait for its turn.
    const data = Buffer.from(this.#version < 15 ? chunk : chunk.subarray(1))
    if (kind === 'd' && !this.#inManifest) return data
    if (kind === 'd') this.#manifest.push(data)
    if (kind === 'm') this.#inManifest = true
    // 'n': a new archive begins: its name, then the location of its tablespace, empty for the data folder.
    if (kind === 'n') {
      const [name = ''] = data.toString('latin1').split('\0')
      this.#unpacking.begin(name === 'base.tar' ? null : name.replace(/\.tar$/, ''))
    }
    return undefined
  }
}

interface RawConnection {
  on(event: 'copyOutResponse', listener: () => void): void
  on(event: 'copyData', listener: (message: { chunk: Buffer }) => void): void
  on(event: 'dataRow', listener: (message: { fields?: unknown[] }) => void): void
  readonly stream: { pause(): void; resume(): void }
}

/** The results that name a position: the first is where the backup began, the last where it ended. */
function positionsOf(results: unknown): { readonly log: bigint; readonly timeline: number }[] {
  const list = Array.isArray(results) ? results : [results]
  return list
    .flatMap((result) => (result as { rows?: Record<string, unknown>[] }).rows ?? [])
    .filter((row) => 'recptr' in row)
    .map((row) => ({ log: parseLsn(String(row.recptr)), timeline: Number(row.tli) }))
}
