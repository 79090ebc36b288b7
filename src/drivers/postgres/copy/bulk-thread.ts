/** The thread of bulk-work.ts. */
import { systemClock } from '../../../lib/clock.ts'
import { type JobParent, serveThreadJob } from '../../../lib/thread-job.ts'
import type { BulkJob, BulkSaid } from './bulk-work.ts'
import { copyBackup } from './checked-copy.ts'
import { receiveWholeCopy } from './server-copy.ts'
import type { PlacedTablespace, Tablespace } from './tablespaces.ts'

/** Between two words about the progress. */
const SAY_EVERY_BYTES = 1_000_000

serveThreadJob((input, parent) => {
  const job = input as BulkJob
  const progress = everySoOften(parent)
  if (job.kind === 'backup') return copyBackup(job, progress)
  const place = async (tablespaces: readonly Tablespace[]) =>
    (await parent.ask({ tablespaces } satisfies BulkSaid)) as readonly PlacedTablespace[]
  return receiveWholeCopy({ ...job, clock: systemClock, progress, place })
})

function everySoOften(parent: JobParent): (bytes: number, total: number) => void {
  let saidAt = Number.NEGATIVE_INFINITY
  return (bytes, total) => {
    if (bytes - saidAt < SAY_EVERY_BYTES) return
    saidAt = bytes
    parent.say({ bytes, total } satisfies BulkSaid)
  }
}
