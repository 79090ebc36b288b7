/**
 * The instance file: what a later agent must know to take over a process that it did not start. It is written before
 * the program runs, so everything of ours that runs can be found again.
 *
 * It says what was true when it was written, in one boot of the machine. A reader verifies pid and start time before it
 * believes the rest.
 */
import type { Role, Term } from '../../core/model.ts'
import { bootId } from '../../lib/boot.ts'
import { readOfThisBoot } from '../../lib/files.ts'
import type { ProcessIdentity } from '../../lib/proc.ts'
import type { GivenSecrets } from './given-secrets.ts'
import type { StartedFrom } from './started-from.ts'
import { writeState } from './state-writes.ts'

export interface InstanceRecord {
  readonly bootId: string
  /** `gated`: the gate was not opened yet. `open`: it was about to be, or has been. `ended`: nothing is left. */
  readonly phase: 'gated' | 'open' | 'ended'
  readonly identity: ProcessIdentity
  readonly role: Exclude<Role, 'none'>
  readonly term: Term
  /** It knows its role and term: from its environment, or because a promotion reached it. */
  readonly told: boolean
  readonly port: number
  /** Monotonic clock. */
  readonly startedAtMono: number
  /** It has been healthy at least once: silence now is a miss, not a slow start. */
  readonly wasHealthy: boolean
  readonly failures: number
  /** Monotonic clock: back-off until then. */
  readonly retryAtMono: number
  readonly note: string
  /** Absent in records of earlier versions. */
  readonly startedFrom?: StartedFrom
  /** Absent: none. */
  readonly secrets?: GivenSecrets
}

/**
 * What was written in this boot; undefined when nothing was. Throws UND_STATE_UNREADABLE when there is a file that cannot be
 * used: the process that it spoke of may run, so nothing may be started in its place.
 */
export function readRecord(path: string): InstanceRecord | undefined {
  const record = readOfThisBoot(path, (value) => (isRecord(value) || isOfAnotherBoot(value) ? value : undefined))
  return isRecord(record) && !isOfAnotherBoot(record) ? record : undefined
}

function isOfAnotherBoot(value: unknown): boolean {
  const { bootId: boot } = (value ?? {}) as { bootId?: unknown }
  return typeof boot === 'string' && boot !== bootId()
}

export function writeRecord(path: string, record: InstanceRecord): void {
  writeState(path, `${JSON.stringify(record)}\n`)
}

function isRecord(value: unknown): value is InstanceRecord {
  if (typeof value !== 'object' || value === null) return false
  const record = value as Partial<Record<keyof InstanceRecord, unknown>>
  const identity = record.identity as Partial<ProcessIdentity> | null | undefined
  return (
    typeof record.bootId === 'string' &&
    ['gated', 'open', 'ended'].includes(record.phase as string) &&
    ['active', 'standby', 'primary'].includes(record.role as string) &&
    isPid(identity?.pid) &&
    Number.isSafeInteger(identity?.startTime) &&
    [record.term, record.port, record.startedAtMono, record.failures, record.retryAtMono].every(Number.isFinite) &&
    typeof record.told === 'boolean' &&
    typeof record.wasHealthy === 'boolean' &&
    typeof record.note === 'string'
  )
}

/** Never 0 or 1: signalling the group 0 would be our own, and −1 every process. */
function isPid(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) > 1
}
