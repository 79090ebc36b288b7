/** Text that is typed without being shown, or comes from a pipe. */
import { UnderstudyError } from '../errors.ts'
import type { Input, Io } from './io.ts'

/** All of it, `most` bytes at most. A terminal is asked, and what is typed is not shown. Rejects with UND_BAD_REQUEST. */
export async function readInput(io: Io, question: string, most: number): Promise<Uint8Array> {
  const { input } = io
  return input.isTTY ? askHidden(io, question, most) : readAll(input, most)
}

async function readAll(input: Input, most: number): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  let bytes = 0
  for await (const piece of input) {
    bytes += piece.length
    if (bytes > most) throw tooMuch(most)
    pieces.push(piece)
  }
  return Buffer.concat(pieces)
}

const [CTRL_C, CTRL_D, BACKSPACE, DELETE, CTRL_U] = ['\x03', '\x04', '\b', '\x7f', '\x15']

/** Raw: the terminal echoes nothing, so it does not edit the line either. */
async function askHidden({ input, err }: Io, question: string, most: number): Promise<Uint8Array> {
  err(`${question} (it is not shown; Enter ends it):`)
  input.setRawMode?.(true)
  const decoder = new TextDecoder()
  let typed: string[] = []
  try {
    for await (const piece of input) {
      for (const key of decoder.decode(piece, { stream: true })) {
        if (key === '\r' || key === '\n' || key === CTRL_D) return Buffer.from(typed.join(''))
        if (key === CTRL_C) throw new UnderstudyError('UND_BAD_REQUEST', 'called off: nothing was set')
        if (key === BACKSPACE || key === DELETE) typed.pop()
        else if (key === CTRL_U) typed = []
        else typed.push(key)
        if (typed.length > most) throw tooMuch(most)
      }
    }
    return Buffer.from(typed.join(''))
  } finally {
    input.setRawMode?.(false)
    input.pause?.()
  }
}

function tooMuch(most: number): UnderstudyError {
  return new UnderstudyError('UND_BAD_REQUEST', `the value has more than ${most} bytes`)
}
