/**
 * Recovery times that were measured, from the receipts of a cluster that runs. The longest of each kind counts: an answer
 * should hold on a bad day. Receipts count from when the fault was noticed, so the time that silence takes to become
 * suspicious comes on top of one that began with silence.
 */
import type { ServiceName } from '../core/model.ts'

/** What is needed of a receipt (api/api-types.ts). */
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
  const worst = new Map<string, number>()
  for (const { service, kind, rule, backAfterMs } of receipts) {
    if (kind === 'switchover') continue
    const evidence = kind === 'repair' ? 'none' : rule === 'primary-lost' ? 'silence' : 'first-hand'
    const key = `${service} ${evidence}`
    worst.set(key, Math.max(worst.get(key) ?? 0, backAfterMs))
  }
  return worst
}

export function measuredFor(measured: Measured, service: ServiceName, evidence: Evidence): number | undefined {
  return measured.get(`${service} ${evidence}`)
}
