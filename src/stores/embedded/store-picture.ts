/** The whole map as it is at one moment, and when it will next change by itself. */
import { deepFreeze } from '../../lib/deep-freeze.ts'
import type { Entry, Snapshot } from '../store.ts'
import { endOf, type LeaseBooks, type Moment } from './lease-clock.ts'
import type { Connection } from './sqlite-connection.ts'
import { damaged } from './sqlite-errors.ts'

export interface Picture {
  /** The revision in the file. The snapshot's own is higher when leases have ended since it was written. */
  readonly stored: number
  readonly snapshot: Snapshot
  /** When the next lease that has keys ends, on this boot's monotonic clock; Infinity when none does. */
  readonly nextEnd: number
}

/** Some dozens of small keys are read whole each time: 35 take 0.05 ms, less than it takes to be clever. */
const ALL = `
  SELECT entry.key, entry.value, entry.revision, entry.lease, leases.boot, leases.slot, leases.number
  FROM entry LEFT JOIN leases ON leases.id = entry.lease ORDER BY entry.key`

/** Within `reading` or `writing`. */
export function takePicture({ file, times }: LeaseBooks, moment: Moment): Picture {
  const stored = storedRevision(file)
  const entries = new Map<string, Entry>()
  const ended = new Set<string>()
  let nextEnd = Number.POSITIVE_INFINITY
  for (const [key, value, revision, lease, boot, slot, number] of file.rows(ALL)) {
    if (typeof key !== 'string' || typeof revision !== 'number') throw damaged(file.path, 'an entry has no key')
    if (typeof lease === 'string') {
      const endsAt = endOf(times, moment, boot, slot, number)
      if (endsAt <= moment.now) {
        ended.add(lease)
        continue
      }
      nextEnd = Math.min(nextEnd, endsAt)
    }
    entries.set(key, Object.freeze({ value: parse(file, key, value), revision }))
  }
  const revision = stored + ended.size
  return { stored, snapshot: Object.freeze({ revision, entries }), nextEnd }
}

export function storedRevision(file: Connection): number {
  const [row] = file.rows('SELECT revision FROM meta')
  if (typeof row?.[0] !== 'number') throw damaged(file.path, 'it has no revision')
  return row[0]
}

function parse(file: Connection, key: string, value: unknown): unknown {
  try {
    return deepFreeze(JSON.parse(String(value)))
  } catch (cause) {
    throw damaged(file.path, `the value of ${key} is not JSON`, cause)
  }
}
