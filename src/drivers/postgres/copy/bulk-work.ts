/**
 * Whole databases are copied in a thread: receiving, unpacking and hashing them here would hold up the loop that renews leases
 * and answers health checks (lib/thread-job.ts). This is the agent's side of it. test/house/bulk-work.ts sees that no other
 * file imports what moves the bytes.
 */
import { builtBeside, inThread } from '../../../lib/thread-job.ts'
import type { BackupCopyJob } from './checked-copy.ts'
import type { WholeCopy, WholeCopyJob } from './server-copy.ts'
import type { PlacedTablespace, Tablespace } from './tablespaces.ts'

export type BulkJob = ({ readonly kind: 'server' } & WholeCopyJob) | ({ readonly kind: 'backup' } & BackupCopyJob)

/** What the thread says: how far it is, or which tablespaces want a place. */
export interface BulkSaid {
  readonly bytes?: number
  /** As far as it can be estimated; 0: not known. */
  readonly total?: number
  readonly tablespaces?: readonly Tablespace[]
}

interface Told {
  readonly signal: AbortSignal
  /** `total`: as far as it can be estimated; 0: not known. */
  progress(bytes: number, total: number): void
}

export interface WholeCopyRequest extends WholeCopyJob, Told {
  /** Where its tablespaces go; asked before anything is copied. Throws UND_REFUSED when one cannot go anywhere. */
  place(tablespaces: readonly Tablespace[]): readonly PlacedTablespace[]
}

const PROGRAM = builtBeside('./bulk-thread.js', import.meta.url)

/** UND_TIMED_OUT when its source falls silent. What is in the target by then is worthless. */
export function takeWholeCopy({ signal, progress, place, ...job }: WholeCopyRequest): Promise<WholeCopy> {
  return run({ kind: 'server', ...job }, { signal, progress }, place)
}

/** Throws UND_REFUSED when it is another backup, or is damaged. */
export function copyBackupInto(job: BackupCopyJob, told: Told): Promise<void> {
  return run({ kind: 'backup', ...job }, told)
}

function run<T>(input: BulkJob, { signal, progress }: Told, place?: WholeCopyRequest['place']): Promise<T> {
  const hear = ({ bytes = 0, total = 0, tablespaces }: BulkSaid) => {
    if (tablespaces) return place?.(tablespaces)
    return progress(bytes, total)
  }
  return inThread<T>({ program: PROGRAM, input, signal, hear: (said) => hear(said as BulkSaid) })
}
