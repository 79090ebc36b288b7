/**
 * A log that is rotated, by renaming it to `.1` and beginning a new one (instances) or by copying it there and emptying it
 * (PostgreSQL). Reading the newest lines reads on into `.1`, `.2`, … when the log was begun a moment ago. Following knows
 * the file that it reads by its inode and its length: it goes on where it was, under whatever name, and then with the
 * files that came after it. Only the end of a large log is read.
 */
import { closeSync, existsSync, fstatSync, openSync, readSync, statSync } from 'node:fs'
import { readTail } from '../lib/files.ts'

/** Tried first for the newest lines; four times as much whenever it does not hold enough of them. */
const FIRST_TAIL_BYTES = 64 * 1024

export class LogFile {
  readonly #path: string
  /** Up to here was read: always just behind the end of a line. */
  #at = 0
  /** Of the file that was read; 0 when there was none. */
  #inode = 0

  constructor(path: string) {
    this.#path = path
  }

  get exists(): boolean {
    return existsSync(this.#path)
  }

  /** The newest lines, oldest first, the unfinished one included: it may be an instance's last words. `more` goes on after them. */
  last(count: number): string[] {
    const file = statSync(this.#path, { throwIfNoEntry: false })
    this.#at = file?.size ?? 0
    this.#inode = file?.ino ?? 0
    if (count === 0) return []
    let lines = lastLines(this.#path, count)
    for (let age = 1; lines.length < count && existsSync(`${this.#path}.${age}`); age++) {
      lines = [...lastLines(`${this.#path}.${age}`, count - lines.length), ...lines]
    }
    return lines
  }

  /** The lines that were finished since the last call. */
  more(): string[] {
    const now = readFrom(this.#path, this.#at)
    if (now.inode === this.#inode && now.size >= this.#at) return this.#take(now.text)
    const missed = now.inode === this.#inode ? linesOf(readFrom(`${this.#path}.1`, this.#at).text) : this.#renamed()
    this.#at = 0
    const next = readFrom(this.#path, 0)
    this.#inode = next.inode
    return [...missed, ...this.#take(next.text)]
  }

  /** What the file that was read holds under its present name, and those that were begun after it. */
  #renamed(): string[] {
    const ages: number[] = []
    for (let age = 1; existsSync(`${this.#path}.${age}`); age++) {
      ages.unshift(age)
      const text = readFrom(`${this.#path}.${age}`, this.#at)
      if (text.inode !== this.#inode) continue
      const since = ages.slice(1).flatMap((newer) => linesOf(readFrom(`${this.#path}.${newer}`, 0).text))
      return [...linesOf(text.text), ...since]
    }
    return [] // nothing was read before, or so much was printed since that it is gone
  }

  #take(text: string): string[] {
    const finished = text.slice(0, text.lastIndexOf('\n') + 1)
    this.#at += Buffer.byteLength(finished)
    return linesOf(finished)
  }
}

function lastLines(path: string, count: number): string[] {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0
  for (let bytes = FIRST_TAIL_BYTES; ; bytes *= 4) {
    const lines = linesOf(readTail(path, bytes))
    const isWhole = bytes >= size
    if (isWhole || lines.length > count) return lines.slice(isWhole ? 0 : 1).slice(-count)
  }
}

/** The text from there on, and which file it is now; nothing of a file that is not there. */
function readFrom(
  path: string,
  from: number,
): { readonly text: string; readonly size: number; readonly inode: number } {
  let file: number
  try {
    file = openSync(path, 'r')
  } catch {
    return { text: '', size: 0, inode: 0 } // nothing was printed there yet
  }
  try {
    const { size, ino: inode } = fstatSync(file)
    const bytes = Buffer.alloc(Math.max(0, size - from))
    const read = readSync(file, bytes, 0, bytes.length, from)
    return { text: bytes.toString('utf8', 0, read), size, inode }
  } finally {
    closeSync(file)
  }
}

function linesOf(text: string): string[] {
  const lines = text.split('\n')
  if (lines.at(-1) === '') lines.pop()
  return lines
}
