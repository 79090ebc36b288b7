/**
 * A log that is rotated by copying it to `.1` and emptying it (so that whoever writes can go on writing). Reading the
 * newest lines reads on into `.1`, `.2`, … when the log was emptied a moment ago; following notices the emptying by the
 * log being shorter than what was read of it, and finds the lines it had not read yet at the same place in `.1`.
 */
import { closeSync, existsSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs'

export class LogFile {
  readonly #path: string
  /** Up to here was read: always just behind the end of a line. */
  #at = 0

  constructor(path: string) {
    this.#path = path
  }

  get exists(): boolean {
    return existsSync(this.#path)
  }

  /** The newest lines, oldest first, the unfinished one included: it may be somebody's last words. `more` goes on after them. */
  last(count: number): string[] {
    const { text, size } = readFrom(this.#path, 0)
    this.#at = size
    let lines = linesOf(text)
    for (let age = 1; lines.length < count && existsSync(`${this.#path}.${age}`); age++) {
      lines = [...linesOf(readFileSync(`${this.#path}.${age}`, 'utf8')), ...lines]
    }
    return count === 0 ? [] : lines.slice(-count)
  }

  /** The lines that were finished since the last call. */
  more(): string[] {
    const { text, size } = readFrom(this.#path, this.#at)
    if (size >= this.#at) return this.#take(text)
    const rest = linesOf(readFrom(`${this.#path}.1`, this.#at).text)
    this.#at = 0
    return [...rest, ...this.#take(readFrom(this.#path, 0).text)]
  }

  #take(text: string): string[] {
    const finished = text.slice(0, text.lastIndexOf('\n') + 1)
    this.#at += Buffer.byteLength(finished)
    return linesOf(finished)
  }
}

/** The text from there on, and how long the file is now; nothing of a file that is not there. */
function readFrom(path: string, from: number): { readonly text: string; readonly size: number } {
  let file: number
  try {
    file = openSync(path, 'r')
  } catch {
    return { text: '', size: 0 } // nothing was printed there yet
  }
  try {
    const { size } = fstatSync(file)
    const bytes = Buffer.alloc(Math.max(0, size - from))
    const read = readSync(file, bytes, 0, bytes.length, from)
    return { text: bytes.toString('utf8', 0, read), size }
  } finally {
    closeSync(file)
  }
}

function linesOf(text: string): string[] {
  const lines = text.split('\n')
  if (lines.at(-1) === '') lines.pop()
  return lines
}
