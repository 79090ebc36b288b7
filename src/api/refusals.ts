/**
 * How an error becomes an answer. Every refused call, whatever refused it, has the same body (`Refusal`): a caller
 * matches on `error.code`, a person reads `error.message`. A bug is told as one and keeps its details for the log.
 */
import { type ErrorCode, UnderstudyError } from '../errors.ts'
import type { Refusal } from './api-types.ts'
import { BodyTooLarge } from './request-bodies.ts'

export type RefusalStatus = 400 | 401 | 404 | 405 | 409 | 413 | 500 | 503 | 504

const STATUS: Partial<Record<ErrorCode, RefusalStatus>> = {
  UND_BAD_REQUEST: 400,
  UND_UNAUTHORIZED: 401,
  UND_UNKNOWN_SERVICE: 404,
  UND_UNKNOWN_NODE: 404,
  UND_UNKNOWN_CONFIG: 404,
  UND_UNKNOWN_SECRET: 404,
  UND_REFUSED: 409,
  UND_CONFLICT: 409,
  UND_TOO_OLD: 409,
  UND_STORE_AWAY: 503,
  UND_STORE_UNKNOWN: 503,
  UND_STORE_DAMAGED: 503,
  UND_STORE_READ_ONLY: 503,
  UND_STORE_FULL: 503,
  UND_LEASE_LOST: 503,
  UND_STARTING: 503,
  UND_TIMED_OUT: 504,
}

/** The HTTP status that goes with an error; 500 for everything that no caller can do anything about. */
export function statusOf(error: unknown): RefusalStatus {
  if (error instanceof BodyTooLarge) return 413
  return error instanceof UnderstudyError ? (STATUS[error.code] ?? 500) : 500
}

export function refusalOf(error: unknown): Refusal {
  if (error instanceof UnderstudyError) return { error: { code: error.code, message: error.message } }
  return { error: { code: 'UND_INTERNAL', message: 'a bug in the agent: its log says more' } }
}
