/** Unpacks a tar archive as it comes. Nothing is written outside the target, whatever the archive says. */
import { createHash, type Hash } from 'node:crypto'
import { chmodSync, mkdirSync } from 'node:fs'
import { mkdir, open } from 'node:fs/promises'
import { dirname, join, normalize, relative } from 'node:path'
import tar from 'tar-stream'
import { UnderstudyError } from '../../../errors.ts'

/**
 * What is told of what was written: each file with its checksum, each folder. Paths are as in the archive. Without `file` no checksums
 * are made: they take more time of the event loop than everything else.
 */
export interface Told {
  file?(file: UnpackedFile): void
  folder?(path: string): void
}

export interface UnpackedFile {
  readonly path: string
  readonly bytes: number
  readonly sha256: string
}

export interface Unpacking {
  write(data: Buffer): boolean
  once(event: 'drain', listener: () => void): void
  end(): void
  fail(error: Error): void
  readonly done: Promise<void>
  /** Never resolves; rejects when unpacking failed. */
  readonly failed: Promise<never>
}

export interface ArchiveKind {
  /** Where it belongs in the whole, for `told`: paths in a tablespace's own archive begin there. */
  readonly prefix?: string
  /** Makes the link of that path; false: it is none that is known, and refused. */
  link?(path: string): boolean
}

/** One file after the other. `write` says false while more comes than the disk takes: see `drain`. */
export function unpackInto(target: string, told: Told = {}, { prefix = '', link }: ArchiveKind = {}): Unpacking {
  const named = (path: string) => join(prefix, relative(target, path))
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
  done.catch(() => {}) // the error reaches the caller, if it waits already
  extract.on('entry', (header, body, next) => {
    body.on('error', () => {}) // said once for the whole archive
    try {
      const path = placeOf(target, header.name)
      if (header.type === 'directory') {
        mkdirSync(path, { recursive: true, mode: 0o700 })
        chmodSync(path, 0o700)
        told.folder?.(named(path))
        body.resume()
        body.on('end', next)
      } else if (header.type === 'file') {
        const failed = (error: Error) => extract.destroy(error)
        const hash = told.file ? createHash('sha256') : null
        write(path, body, hash)
          .then((bytes) => {
            if (hash) told.file?.({ path: named(path), bytes, sha256: hash.digest('hex') })
            next()
          })
          .catch(failed)
      } else if (header.type === 'symlink' && link?.(relative(target, path))) {
        body.resume()
        body.on('end', next)
      } else
        throw refused(`the data folder has a link ${header.name} that is none of a tablespace: it cannot be copied`)
    } catch (error) {
      extract.destroy(error as Error) // a full disk, most likely
    }
  })
  return {
    write: (data) => extract.write(data),
    once: (event, listener) => extract.once(event, listener),
    end: () => {
      extract.end(null)
    },
    fail: (error) => {
      extract.destroy(error)
    },
    done,
    failed,
  }
}

function placeOf(target: string, name: string): string {
  const path = normalize(join(target, name))
  if (path === target || path.startsWith(`${target}/`)) return path
  throw refused(`an archive entry outside the archive: ${name}`)
}

function refused(why: string): UnderstudyError {
  return new UnderstudyError('UND_REFUSED', why)
}

type Body = AsyncIterable<unknown>

/** Each write is awaited and done by another thread: a disk that stalls holds up the clone, and never the loop. */
async function write(path: string, body: Body, hash: Hash | null): Promise<number> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const file = await open(path, 'w', 0o600)
  let bytes = 0
  try {
    for await (const chunk of body) {
      await file.appendFile(chunk as Buffer) // all of it: one `write` may take a part
      hash?.update(chunk as Buffer)
      bytes += (chunk as Buffer).length
    }
  } finally {
    await file.close() // also when nothing more of it comes
  }
  return bytes
}
