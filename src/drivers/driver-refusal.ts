/** Drivers say no with one code: what was asked for does not fit what is here, and nothing was changed. */
import { UnderstudyError } from '../errors.ts'

export function refusal(message: string, cause?: unknown): UnderstudyError {
  return new UnderstudyError('UND_REFUSED', message, { cause })
}

export function isRefusal(error: unknown): boolean {
  return error instanceof UnderstudyError && error.code === 'UND_REFUSED'
}

/** Whatever kept an instance from starting, as an operating error. */
export function notStarted(cause: unknown): UnderstudyError {
  if (cause instanceof UnderstudyError) return cause
  return refusal(`not started: ${cause instanceof Error ? cause.message : String(cause)}`, cause)
}

/** The same of any verb: what went wrong, said as an operating error. */
export function asOperating(error: unknown): UnderstudyError {
  if (error instanceof UnderstudyError) return error
  return refusal(error instanceof Error ? error.message : String(error), error)
}
