/**
 * Recovery times that were measured, from the receipts of a cluster that runs. Of each kind the longest of the newest
 * `RECENT` counts, because an answer should hold on a bad day. One outage that was many times longer than usual (a full disk, a machine that
 * was asleep) says nothing of the next one: what is longer than `OUTLIER` times the median is left out. Receipts count from when the fault was noticed, so the time that silence takes to become
 * suspicious comes on top of one that began with silence.
 */
import type { ServiceName } from '../core/model.ts'

/** What is needed of a receipt, the oldest first (api/api-types.ts). */
export interface ReceiptFigures {
  readonly service: string
  readonly kind: 'failover' | 'switchover' | 'repair'
  readonly rule: string
  readonly backAfterMs: number
}

export type Measured = ReadonlyMap<string, number>

export const UNMEASURED: Measured = new Map()

/** What a pause rested on: a takeover after silence, a takeover that was told first-hand, or a restart in place. */
type Evidence = 'none' | 'first-hand' | 'silence'

export function measuredFrom(receipts: readonly ReceiptFigures[]): Measured {
  const times = new Map<string, number[]>()
  for (const { service, kind, rule, backAfterMs } of receipts) {
    if (kind === 'switchover') continue
    const evidence = kind === 'repair' ? 'none' : rule === 'primary-lost' ? 'silence' : 'first-hand'
    const key = `${service} ${evidence}`
    times.set(key, [...(times.get(key) ?? []), backAfterMs])
  }
  return new Map([...times].map(([key, all]) => [key, worstUsual(all.slice(-RECENT))]))
}

/** So many of the newest: what was measured before a change of the config or of the machine is forgotten. */
const RECENT = 20
/** Times of one kind are within a factor of two or three of each other; more is another kind of trouble. */
const OUTLIER = 5
/** With fewer than three there is no telling which one is unusual: then the longest counts. */
const FEWEST = 3

/** `times` in the order in which they were measured; not empty. */
function worstUsual(times: readonly number[]): number {
  const sorted = times.toSorted((a, b) => a - b)
  const median = sorted[Math.floor((sorted.length - 1) / 2)] ?? 0
  const usual = sorted.length < FEWEST ? sorted : sorted.filter((ms) => ms <= median * OUTLIER)
  return usual.at(-1) ?? median
}

export function measuredFor(measured: Measured, service: ServiceName, evidence: Evidence): number | undefined {
  return measured.get(`${service} ${evidence}`)
}
