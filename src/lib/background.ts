/**
 * Work that is not waited for. What goes wrong in it must neither end the process nor be lost: it is reported, with what was
 * being done and a stack, to every listener; without one, to the standard error.
 */
import type { Stop } from './stop.ts'

export type FaultListener = (what: string, error: Error) => void

const listeners = new Set<FaultListener>()

/** Called with everything that goes wrong in the background of this process, from now on. */
export function onFault(listener: FaultListener): Stop {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

/** `what` was being done, as a noun: "the heartbeat". */
export function reportFault(what: string, cause: unknown): void {
  const error = cause instanceof Error ? cause : new Error(String(cause))
  if (listeners.size === 0) process.stderr.write(`${faultLine(what, error)}\n`)
  for (const listener of [...listeners]) listener(what, error)
}

/** One line for a log: the stack in it, because only a bug comes here. */
export function faultLine(what: string, error: Error): string {
  return `a fault in ${what}: ${(error.stack ?? error.message).replaceAll('\n', ' | ')}`
}

/** Lets a promise go on by itself; a rejection is reported. Undefined: there was nothing to begin. */
export function inBackground(work: Promise<unknown> | undefined, what: string): void {
  work?.catch((error: unknown) => reportFault(what, error))
}

/** Calls a handler whose errors are its own and not its caller's: reported, and the caller goes on. */
export function guarded(what: string, handler: () => void): void {
  try {
    handler()
  } catch (error) {
    reportFault(what, error)
  }
}

/** For processes that must live: a rejection that nothing handled is reported and ends nothing. */
export function reportUnhandledRejections(): void {
  process.on('unhandledRejection', (error) => reportFault('a promise that nothing waited for', error))
}
