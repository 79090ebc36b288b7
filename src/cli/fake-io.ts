/** A terminal that is two lists of lines, for tests. */
import { createColors } from 'picocolors'
import type { Io } from './io.ts'

export interface FakeIo extends Io {
  readonly printed: string[]
  readonly complained: string[]
  /** All that was printed, as one text without blanks at the ends of lines. */
  text(): string
  /** As Ctrl-C. */
  interrupt(): void
}

export function fakeIo(
  options: Partial<Pick<Io, 'input' | 'cwd' | 'tty' | 'columns' | 'rows' | 'env' | 'ask'>> = {},
): FakeIo {
  const printed: string[] = []
  const complained: string[] = []
  const interrupted = new Set<() => void>()
  return {
    printed,
    complained,
    out: (text) => void printed.push(text),
    err: (text) => void complained.push(text),
    text: () => printed.join('\n'),
    interrupt: () => {
      for (const listener of [...interrupted]) listener()
    },
    onInterrupt: (listener) => {
      interrupted.add(listener)
      return () => interrupted.delete(listener)
    },
    input: (async function* () {})(),
    tty: false,
    columns: 120,
    rows: 40,
    paint: createColors(false),
    cwd: '/nowhere',
    env: {},
    ...options,
  }
}
