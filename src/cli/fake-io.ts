/** A terminal that is two lists of lines, for tests. */
import { createColors } from 'picocolors'
import type { Io } from './io.ts'

export interface FakeIo extends Io {
  readonly printed: string[]
  readonly complained: string[]
  /** All that was printed, as one text without blanks at the ends of lines. */
  text(): string
}

export function fakeIo(options: Partial<Pick<Io, 'cwd' | 'tty' | 'columns' | 'rows' | 'env'>> = {}): FakeIo {
  const printed: string[] = []
  const complained: string[] = []
  return {
    printed,
    complained,
    out: (text) => void printed.push(text),
    err: (text) => void complained.push(text),
    text: () => printed.join('\n'),
    tty: false,
    columns: 120,
    rows: 40,
    paint: createColors(false),
    cwd: '/nowhere',
    env: {},
    ...options,
  }
}
