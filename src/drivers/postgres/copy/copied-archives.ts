/**
 * The archives of one base backup, unpacked one after the other as they come: one for each tablespace outside the data
 * folder, then the data folder itself. From version 16 on a tablespace in place has an archive of its own, too; before,
 * it is in that of the data folder.
 */
import { mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { UnderstudyError } from '../../../errors.ts'
import { freshPlaceOf, type PlacedTablespace } from './tablespaces.ts'
import { type Told, type Unpacking, unpackInto } from './unpack-tar.ts'

export class CopiedArchives {
  readonly #target: string
  readonly #placed: readonly PlacedTablespace[]
  readonly #told: Told
  readonly #all: Unpacking[] = []
  #fail: (error: unknown) => void = () => {}
  /** Never resolves; rejects when one of them cannot be unpacked. */
  readonly failed: Promise<never>

  constructor(target: string, placed: readonly PlacedTablespace[], told: Told) {
    this.#target = target
    this.#placed = placed
    this.#told = told
    this.failed = new Promise((_, reject) => {
      this.#fail = reject
    })
    this.failed.catch(() => {}) // it is also told through `done`
  }

  /** The next archive: of a tablespace, or (null) of the data folder. */
  begin(oid: string | null): void {
    this.#current?.end()
    const placed = this.#placed.find((one) => one.oid === oid)
    if (oid !== null && !placed) {
      this.fail(new UnderstudyError('UND_REFUSED', `tablespace ${oid} was made while the copy began: it is begun anew`))
      return
    }
    const unpacking = placed
      ? unpackInto(freshPlaceOf(placed, this.#target), this.#told, { prefix: `pg_tblspc/${placed.oid}` })
      : unpackInto(this.#target, this.#told, { link: (path) => this.#link(path) })
    unpacking.failed.catch((error: unknown) => this.#fail(error))
    this.#all.push(unpacking)
  }

  write(data: Buffer): boolean {
    if (!this.#current) this.begin(null)
    return this.#current?.write(data) ?? true
  }

  once(event: 'drain', listener: () => void): void {
    this.#current?.once(event, listener)
  }

  /** No more comes: resolves when everything is written. */
  async finish(): Promise<void> {
    this.#current?.end()
    await Promise.all(this.#all.map(({ done }) => done))
  }

  fail(error: Error): void {
    this.#fail(error)
    for (const unpacking of this.#all) unpacking.fail(error) // each closes the file that it was in
  }

  get #current(): Unpacking | undefined {
    return this.#all.at(-1)
  }

  /** A link in the archive of the data folder: false when it is none of a tablespace. */
  #link(path: string): boolean {
    const [, oid] = /^pg_tblspc\/(\d+)$/.exec(path) ?? []
    const placed = this.#placed.find((one) => one.oid === oid)
    if (!placed) return false
    const at = join(this.#target, 'pg_tblspc', placed.oid)
    mkdirSync(placed.linkTo === null ? at : join(this.#target, 'pg_tblspc'), { recursive: true, mode: 0o700 })
    if (placed.linkTo === null) this.#told.folder?.(path)
    else symlinkSync(placed.linkTo, at)
    return true
  }
}
