/**
 * A small text file that is rewritten all the time. As long as the text fits into one page (4096 bytes), the page is
 * overwritten in place, padded with blanks: the kernel then writes it to the disk about twice a minute, however often it
 * changes, where a new file each time would cost a page each time. A process that is killed leaves the old page or the new
 * one, because a signal never interrupts the copying of one page. A longer text is written beside it and renamed.
 *
 * Nothing is synced: for what the next process of this boot needs, and no boot after it.
 */
import { open, rename, writeFile } from 'node:fs/promises'

const PAGE_BYTES = 4_096

export class PageFile {
  readonly #path: string
  #isPage = false

  constructor(path: string) {
    this.#path = path
  }

  /** One at a time. The file is readable by its owner only. */
  async write(text: string): Promise<void> {
    const bytes = Buffer.from(text)
    const isPage = bytes.length <= PAGE_BYTES
    const whole = isPage ? Buffer.concat([bytes, Buffer.alloc(PAGE_BYTES - bytes.length, ' ')]) : bytes
    if (isPage && this.#isPage && (await this.#overwrite(whole))) return
    const beside = `${this.#path}.new`
    await writeFile(beside, whole, { mode: 0o600 })
    await rename(beside, this.#path)
    this.#isPage = isPage
  }

  /** False when there is no such file any more. */
  async #overwrite(page: Buffer): Promise<boolean> {
    try {
      const file = await open(this.#path, 'r+')
      try {
        await file.write(page, 0, PAGE_BYTES, 0)
      } finally {
        await file.close()
      }
      return true
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      return false
    }
  }
}
