/** What the simulator says, in lines. */
import { formatDuration } from '../../lib/duration.ts'
import { describeFault } from '../../sim/fault-schedule.ts'
import type { Happened } from '../../sim/sim-world.ts'
import type { Summary, Verdict } from '../../sim/summary.ts'

const BROKEN_SHOWN = 20

export function happenedLine({ atMs, node, what }: Happened): string {
  const text = typeof what === 'string' ? what : `${what.kind.padEnd(7)} ${what.rule.padEnd(20)} ${what.why}`
  return `${atMs.toFixed(1).padStart(9)} ms  ${node.padEnd(5)}  ${text}`
}

export function verdictLines(verdict: Verdict, withFaults: boolean): string[] {
  const { seed, hash, steps, failovers, faults, broken } = verdict
  return [
    `seed ${seed}: ${steps} steps, ${failovers} changes of primary, hash ${hash}`,
    ...(withFaults ? faults.map((fault) => `  ${describeFault(fault)}`) : []),
    ...(broken.length === 0 ? ['every promise was kept'] : broken.map((sentence) => `  BROKEN ${sentence}`)),
  ]
}

export function progressLine(sofar: Summary, seeds: number, ms: number): string {
  const perMs = sofar.seeds / ms
  const left = formatDuration((seeds - sofar.seeds) / perMs)
  const found = `${sofar.failovers} changes of primary, ${sofar.broken.length} broken`
  return `${sofar.seeds} of ${seeds} seeds, ${(perMs * 1_000).toFixed(0)} a second, ${left} left, ${found}`
}

/** `words`: the options that a single seed has to be repeated with. */
export function summaryLines(sum: Summary, ms: number, words: string): string[] {
  const rate = (sum.seeds / ms) * 1_000
  return [
    `faults injected: ${counts(sum.faults)}`,
    ...(Object.values(sum.unpromised).some((count) => count > 0) ? [`not promised: ${counts(sum.unpromised)}`] : []),
    `rules told: ${counts(sum.rules)}`,
    `role changes: ${counts(sum.roleChanges)}`,
    ...sum.broken.slice(0, BROKEN_SHOWN).map(({ seed, sentence }) => `seed ${seed}: ${sentence}`),
    `${sum.seeds} seeds, ${sum.broken.length} broken, ${sum.failovers} changes of primary, ${rate.toFixed(0)} seeds a second, hash ${sum.hash}`,
    ...(sum.applied > 0 ? [`${sum.applied} changes of the config were applied`] : []),
    `settled at most ${formatDuration(sum.slowestToSettleMs)} of made-up time after healing`,
    ...(sum.broken[0] ? [`to repeat: understudy sim --seed ${sum.broken[0].seed}${words} --trace, or --shrink`] : []),
  ]
}

function counts(record: Readonly<Record<string, number>>): string {
  const sorted = Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1))
  return sorted.map(([name, count]) => `${name} ${count}`).join(', ')
}
