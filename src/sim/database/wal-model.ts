/**
 * The WAL of a simulated database: entries in order, each written by one promotion. Replicas share entries by identity,
 * so that two WALs are of one history exactly as far as they hold the same objects; that is the world's truth. What
 * servers and drivers may go by is less: an index, a timeline number that is not unique, and what they wrote down
 * themselves.
 */
import type { Position, QuorumConfig } from '../../core/replicated/quorum-config.ts'

export interface Entry {
  readonly index: number
  readonly term: number
  /** The promotion that wrote it: QuorumConfig.id. */
  readonly promotion: string
  readonly timeline: number
  readonly kind: 'begin' | 'write' | 'quorum-row'
  /** Of a quorum row: its config. */
  readonly quorum?: QuorumConfig
}

export type Log = Entry[]

/** How far the first `length` entries are: the term is that of the last one, as in Raft. */
export function positionAt(log: readonly Entry[], length: number): Position | null {
  const last = log[length - 1]
  return last ? { term: last.term, timeline: last.timeline, log: String(length) } : null
}

/** How many entries both begin with. */
export function shared(a: readonly Entry[], b: readonly Entry[]): number {
  let length = 0
  while (length < a.length && a[length] === b[length]) length += 1
  return length
}

/** Where a timeline ends in a WAL, by its number alone; undefined when the WAL never was on it. */
export function endOfTimeline(log: readonly Entry[], timeline: number): number | undefined {
  return endOf(log, (entry) => entry.timeline === timeline)
}

export function endOfPromotion(log: readonly Entry[], promotion: string): number | undefined {
  return endOf(log, (entry) => entry.promotion === promotion)
}

function endOf(log: readonly Entry[], is: (entry: Entry) => boolean): number | undefined {
  for (let index = log.length - 1; index >= 0; index -= 1) {
    const entry = log[index]
    if (entry && is(entry)) return index + 1
  }
  return undefined
}

/**
 * What one of the archived WALs has after the last entry of `log`, where both are of one branch: that of the oldest
 * term, whose files were there first.
 */
export function continuation(log: readonly Entry[], archived: readonly { readonly log: Log }[]): Entry[] {
  const { length } = log
  const longer = archived.filter((one) => one.log.length > length && one.log[length - 1] === log[length - 1])
  const oldest = longer.toSorted((a, b) => (a.log.at(-1)?.term ?? 0) - (b.log.at(-1)?.term ?? 0))[0]
  return oldest?.log.slice(length) ?? []
}
