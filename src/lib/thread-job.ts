/**
 * Work that moves or hashes many bytes, in a thread of its own: the agent's event loop renews leases and answers health checks,
 * so it only hears how far the work is. One thread for one job.
 *
 * The signal ends the thread, wherever it is; its files and sockets are closed with it. The promise settles when the thread is
 * gone, so nothing is written after that and what it left can be removed.
 */
import { parentPort, Worker, workerData } from 'node:worker_threads'
import { ERRORS, type ErrorCode, UnderstudyError } from '../errors.ts'

export interface ThreadJob {
  /** A built file that calls `serveThreadJob`: see `builtBeside`. */
  readonly program: URL
  /** Copied into the thread, as `structuredClone` copies. */
  readonly input: unknown
  readonly signal: AbortSignal
  /** What the thread says; what is returned is the answer to what it asks. A throw ends the job, and is its error. */
  hear?(said: unknown): unknown
}

/** What the thread has of the one that started it. */
export interface JobParent {
  say(said: unknown): void
  /** One question at a time. */
  ask(question: unknown): Promise<unknown>
}

type FromThread =
  | { readonly said: unknown; readonly asks: boolean }
  | { readonly result: unknown }
  | { readonly error: PlainError }

interface PlainError {
  readonly message: string
  readonly code: string | undefined
  readonly stack: string | undefined
}

/** Rejects with what the work threw (its message and code; an UnderstudyError stays one), or with the signal's reason. */
export async function inThread<Result>({ program, input, signal, hear = () => {} }: ThreadJob): Promise<Result> {
  signal.throwIfAborted()
  const worker = new Worker(program, { workerData: input, execArgv: [] })
  let stop = () => {}
  try {
    return await new Promise<Result>((resolve, reject) => {
      stop = () => reject(signal.reason)
      signal.addEventListener('abort', stop)
      worker.on('message', (message: FromThread) => {
        if ('result' in message) return resolve(message.result as Result)
        if ('error' in message) return reject(errorAgain(message.error))
        try {
          const answer = hear(message.said)
          if (message.asks) worker.postMessage(answer)
        } catch (error) {
          reject(error)
        }
      })
      worker.once('error', reject)
      worker.once('exit', (code) => reject(new Error(`a thread ended with code ${code} before its work was done`)))
    })
  } finally {
    signal.removeEventListener('abort', stop)
    await worker.terminate()
  }
}

/** In the thread: does the work once and tells its result. */
export function serveThreadJob(work: (input: unknown, parent: JobParent) => Promise<unknown>): void {
  const port = parentPort
  if (!port) throw new Error('not in a thread')
  const post = (message: FromThread) => port.postMessage(message)
  const parent: JobParent = {
    say: (said) => post({ said, asks: false }),
    ask: (said) =>
      new Promise((resolve) => {
        port.once('message', resolve)
        post({ said, asks: true })
      }),
  }
  work(workerData, parent).then(
    (result) => post({ result }),
    (error: unknown) => post({ error: plain(error) }),
  )
}

/** The built file beside the caller's: from dist/ its neighbour, from the sources (in tests) the one that was built of them. */
export function builtBeside(name: string, here: string): URL {
  if (!here.endsWith('.ts')) return new URL(name, here)
  const at = here.lastIndexOf('/src/')
  return new URL(name, `${here.slice(0, at)}/dist/${here.slice(at + '/src/'.length)}`)
}

function plain(error: unknown): PlainError {
  const { message, code, stack } = (error instanceof Error ? error : new Error(String(error))) as NodeJS.ErrnoException
  return { message, code, stack }
}

function errorAgain({ message, code, stack }: PlainError): Error {
  const isOurs = code !== undefined && Object.hasOwn(ERRORS, code)
  const error = isOurs ? new UnderstudyError(code as ErrorCode, message) : new Error(message)
  if (code !== undefined && !isOurs) Object.assign(error, { code })
  if (stack !== undefined) error.stack = stack
  return error
}
