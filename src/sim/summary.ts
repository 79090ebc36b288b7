import type { Fault } from './fault-schedule.ts'
/** What many seeds add up to: counts, and every seed that broke a promise. Adding up does not depend on the order. */

export interface Verdict {
  readonly seed: number
  readonly hash: string
  /** Broken promises, as sentences with their moment. Empty: none. */
  readonly broken: readonly string[]
  /** As they were drawn ahead: what shrinking leaves out. */
  readonly faults: readonly Fault[]
  /** How often each kind of fault happened: those, and what came at a step of a protocol or in a sequence. */
  readonly injected: Readonly<Record<string, number>>
  /** What is not promised, and how often it came to that: about databases (database/ledger.ts). */
  readonly unpromised: Readonly<Record<string, number>>
  readonly virtualMs: number
  readonly failovers: number
  readonly steps: number
  /** Changes of the config, and wishes of operators, that the store took. */
  readonly applied: number
  readonly settledAfterMs: number
  readonly rules: Readonly<Record<string, number>>
  /** How often each row of core/roles.ts was gone through. */
  readonly roleChanges: Readonly<Record<string, number>>
}

export interface Summary {
  readonly seeds: number
  readonly virtualMs: number
  readonly failovers: number
  readonly steps: number
  /** Changes of the config, and wishes of operators, that the store took. */
  readonly applied: number
  /** The longest time from healing to the last step. */
  readonly slowestToSettleMs: number
  /** Seeds and what they broke. */
  readonly broken: readonly { readonly seed: number; readonly sentence: string }[]
  /** How often each kind of fault was injected, and each rule was reported. */
  readonly faults: Readonly<Record<string, number>>
  /** What is not promised, and how often it came to that. */
  readonly unpromised: Readonly<Record<string, number>>
  readonly rules: Readonly<Record<string, number>>
  readonly roleChanges: Readonly<Record<string, number>>
  /** Of all hashes together, whatever the order in which they came. */
  readonly hash: string
}

export const NOTHING: Summary = {
  seeds: 0,
  virtualMs: 0,
  failovers: 0,
  steps: 0,
  applied: 0,
  slowestToSettleMs: 0,
  broken: [],
  faults: {},
  unpromised: {},
  rules: {},
  roleChanges: {},
  hash: '0'.repeat(14),
}

export function summaryOf(verdict: Verdict): Summary {
  const [first] = verdict.broken
  return {
    seeds: 1,
    virtualMs: verdict.virtualMs,
    failovers: verdict.failovers,
    steps: verdict.steps,
    applied: verdict.applied,
    slowestToSettleMs: verdict.settledAfterMs,
    broken: first === undefined ? [] : [{ seed: verdict.seed, sentence: first }],
    faults: verdict.injected,
    unpromised: verdict.unpromised,
    rules: verdict.rules,
    roleChanges: verdict.roleChanges,
    hash: verdict.hash,
  }
}

export function together(a: Summary, b: Summary): Summary {
  return {
    seeds: a.seeds + b.seeds,
    virtualMs: a.virtualMs + b.virtualMs,
    failovers: a.failovers + b.failovers,
    steps: a.steps + b.steps,
    applied: a.applied + b.applied,
    slowestToSettleMs: Math.max(a.slowestToSettleMs, b.slowestToSettleMs),
    broken: [...a.broken, ...b.broken].sort((one, other) => one.seed - other.seed),
    faults: added(a.faults, b.faults),
    unpromised: added(a.unpromised, b.unpromised),
    rules: added(a.rules, b.rules),
    roleChanges: added(a.roleChanges, b.roleChanges),
    hash: xor(a.hash, b.hash),
  }
}

export type Counts = Readonly<Record<string, number>>

export function added(a: Counts, b: Counts): Counts {
  const sum: Record<string, number> = { ...a }
  for (const [key, count] of Object.entries(b)) sum[key] = (sum[key] ?? 0) + count
  return sum
}

function xor(a: string, b: string): string {
  return (BigInt(`0x${a}`) ^ BigInt(`0x${b}`)).toString(16).padStart(14, '0')
}
