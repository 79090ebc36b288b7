/**
 * Files that say which process something is: `agent.json`, `fence.json`, `balancer.json`, `up.json`, `instances/*.json`. They
 * are believed as far as the kernel agrees (pid and start time).
 */
import { readOfThisBoot } from './files.ts'
import type { ProcessIdentity } from './proc.ts'

/** `{ pid, startTime }`, at the top or under `identity`; undefined when there is none that makes sense. */
export function identityIn(value: unknown): ProcessIdentity | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { pid, startTime, identity } = value as Partial<Record<'pid' | 'startTime' | 'identity', unknown>>
  if (identity !== undefined) return identityIn(identity)
  // Never 0, 1 or a negative number: signalling those would reach ourselves, or every process.
  if (!Number.isSafeInteger(pid) || (pid as number) <= 1 || !Number.isSafeInteger(startTime)) return undefined
  return { pid: pid as number, startTime: startTime as number }
}

/**
 * Undefined when there is no file, or one that cannot be made sense of and is of an earlier boot. Throws UND_STATE_UNREADABLE
 * otherwise: the process that it spoke of may run.
 */
export function readIdentityFile(path: string): ProcessIdentity | undefined {
  return readOfThisBoot(path, identityIn)
}
