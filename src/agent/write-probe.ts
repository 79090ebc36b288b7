/**
 * When a write failed for a reason that lasts (a full or read-only disk), nothing is agreed and so nothing is written: no
 * write would ever show that it works again. Then, and only then, a small one is tried once a second.
 */
import type { Clock } from '../lib/clock.ts'
import type { Stop } from '../lib/stop.ts'
import { superviseLoop } from '../lib/supervised-loop.ts'
import type { Store } from '../stores/store.ts'
import type { AgreedRecords } from './agreed-records.ts'

const EVERY_MS = 1_000

export function startWriteProbe(clock: Clock, store: Store, agreed: AgreedRecords, wake: () => void): Stop {
  const probe = async () => {
    if (agreed.writable) return
    try {
      await store.release(await store.acquire(EVERY_MS))
      agreed.wroteWell()
      wake()
    } catch (error) {
      agreed.wroteBadly(error as Error)
    }
  }
  return superviseLoop({ clock, what: 'the trial write', everyMs: EVERY_MS, work: probe }).stop
}
