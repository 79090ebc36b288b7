/** Where a command reads and writes: the terminal, or what a test puts in its place. */
import { createInterface } from 'node:readline'
import type { ReadStream } from 'node:tty'
import { createColors } from 'picocolors'

export type Palette = ReturnType<typeof createColors>

/** Standard input: a terminal, a pipe, or what a test puts in its place. */
export type Input = AsyncIterable<Uint8Array> & Partial<Pick<ReadStream, 'isTTY' | 'setRawMode' | 'pause'>>

export interface Io {
  out(text: string): void
  err(text: string): void
  readonly input: Input
  /** Is it a terminal? Then output may be coloured, truncated to the width, and redrawn in place. */
  readonly tty: boolean
  readonly columns: number
  readonly rows: number
  readonly paint: Palette
  readonly cwd: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** Asks an operator and resolves to the answer; undefined where there is none at a terminal. */
  readonly ask?: ((question: string) => Promise<string>) | undefined
  /** Ctrl-C is told to the listener and ends nothing, until the answer is called. */
  onInterrupt(listener: () => void): () => void
}

export function systemIo(): Io {
  const { stdout, stderr, env } = process
  const colored =
    env.NO_COLOR === undefined && env.TERM !== 'dumb' && (stdout.isTTY === true || env.FORCE_COLOR !== undefined)
  // A pipe that is closed early (`understudy events | head`) is no reason for a stack trace.
  for (const stream of [stdout, stderr]) stream.on('error', () => {})
  return {
    out: (text) => void stdout.write(`${text}\n`),
    err: (text) => void stderr.write(`${text}\n`),
    get input() {
      return process.stdin // opened by the first look at it
    },
    tty: stdout.isTTY === true,
    get columns() {
      return stdout.columns ?? 120
    },
    get rows() {
      return stdout.rows ?? 40
    },
    paint: createColors(colored),
    cwd: process.cwd(),
    env,
    ask: process.stdin.isTTY === true && stdout.isTTY === true ? askOnTerminal : undefined,
    onInterrupt: (listener) => {
      process.on('SIGINT', listener)
      return () => process.off('SIGINT', listener)
    },
  }
}

/** Ctrl-C and the end of the input answer with nothing. */
async function askOnTerminal(question: string): Promise<string> {
  const terminal = createInterface({ input: process.stdin, output: process.stdout })
  try {
    return await new Promise((resolve) => {
      terminal.once('close', () => resolve(''))
      terminal.once('SIGINT', () => terminal.close())
      terminal.question(question, resolve)
    })
  } finally {
    terminal.close()
  }
}
