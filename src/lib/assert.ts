/**
 * A broken invariant is a bug in this program, never an operating error: it is thrown as AssertionError and nothing
 * is expected to catch it but the agent's last line, which stops acting before it exits.
 */
export class AssertionError extends Error {
  override readonly name = 'AssertionError'
}

export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionError(message)
}

/** The end of every `switch` over a union: a forgotten case is a compile error. */
export function assertNever(value: never): never {
  throw new AssertionError(`unexpected value: ${JSON.stringify(value)}`)
}
