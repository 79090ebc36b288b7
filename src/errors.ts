/**
 * Every operating error, once: a stable code, what it means, whether trying again can help, and the exit code a command
 * ends with. Callers match on `code`, never on the text. A code that is retired is never used again. `docs/errors.md`
 * lists the same codes; a test holds the two together.
 */
export const ERRORS = {
  UND_CONFIG_INVALID: { exit: 2, retryable: false, means: 'the config cannot be used as it is written' },
  UND_CONFIG_NOT_FOUND: { exit: 2, retryable: false, means: 'there is no config file at that path' },
  UND_STORE_AWAY: { exit: 4, retryable: true, means: 'the store did not answer; nothing was changed' },
  UND_STORE_UNKNOWN: { exit: 4, retryable: true, means: 'the store did not say whether a change happened: read again' },
  UND_STORE_DAMAGED: {
    exit: 4,
    retryable: false,
    means: 'the store file is not readable as a store; it was left as it is',
  },
  UND_STORE_READ_ONLY: { exit: 4, retryable: false, means: 'the store file or its folder cannot be written' },
  UND_STORE_FULL: { exit: 4, retryable: true, means: 'the disk that holds the store is full' },
  UND_LEASE_LOST: { exit: 4, retryable: false, means: 'the lease ended or was taken away before it could be renewed' },
  UND_PORT_TAKEN: { exit: 5, retryable: true, means: 'another program listens on that address and port' },
  UND_ADDRESS_NOT_LOCAL: { exit: 5, retryable: false, means: 'that address does not belong to this machine' },
  UND_STATE_NOT_WRITABLE: { exit: 5, retryable: false, means: 'the state folder cannot be written' },
  UND_STATE_UNREADABLE: {
    exit: 5,
    retryable: false,
    means: 'a file of the state folder is there and cannot be used; it was left as it is',
  },
  UND_ALREADY_RUNNING: { exit: 6, retryable: false, means: 'this cluster is already running from that state folder' },
  UND_STARTING: {
    exit: 7,
    retryable: true,
    means: 'the agent that was asked has just been started and knows nothing yet',
  },
  UND_NOT_RUNNING: { exit: 7, retryable: true, means: 'no agent of this cluster answers' },
  UND_UNAUTHORIZED: { exit: 8, retryable: false, means: 'the token is missing or wrong' },
  UND_UNKNOWN_SERVICE: { exit: 2, retryable: false, means: 'the config names no such service' },
  UND_UNKNOWN_NODE: { exit: 2, retryable: false, means: 'the config names no such node' },
  UND_REFUSED: { exit: 3, retryable: true, means: 'the cluster refused: it would not be safe, or not be useful, now' },
  UND_CONFLICT: {
    exit: 3,
    retryable: false,
    means: 'another config was applied since the one that this was compared with',
  },
  UND_TOO_OLD: { exit: 3, retryable: false, means: 'a version of Understudy that took part is too old for this' },
  UND_UNKNOWN_CONFIG: { exit: 2, retryable: false, means: 'no config of that number is kept' },
  UND_UNKNOWN_SECRET: { exit: 2, retryable: false, means: 'no secret of that name is set' },
  UND_TIMED_OUT: { exit: 9, retryable: true, means: 'it was not done within the time allowed; it may still happen' },
  UND_BAD_REQUEST: { exit: 2, retryable: false, means: 'the request is not one this API understands' },
  UND_PORT_FORBIDDEN: { exit: 5, retryable: false, means: 'this user may not listen on that port' },
  UND_INTERNAL: { exit: 10, retryable: false, means: 'a bug in this program; nothing can be concluded from it' },
} as const

export type ErrorCode = keyof typeof ERRORS

export class UnderstudyError extends Error {
  override readonly name = 'UnderstudyError'
  readonly code: ErrorCode

  /** `message` says what happened here and what to do; the code says which kind of thing it is. */
  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.code = code
  }

  get retryable(): boolean {
    return ERRORS[this.code].retryable
  }
}

export function hasCode(error: unknown, code: ErrorCode): boolean {
  return error instanceof UnderstudyError && error.code === code
}
