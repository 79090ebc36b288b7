/**
 * Makes a failing seed small: leaves faults out as long as what is left still breaks the same kind of promise. Halves
 * first, then smaller parts, then one by one (delta debugging, Zeller and Hildebrandt, 2002).
 */
import { describeFault, type Fault } from './fault-schedule.ts'
import { type About, runSeed } from './run-seed.ts'
import type { Verdict } from './summary.ts'

export interface Shrunk {
  readonly faults: readonly Fault[]
  readonly verdict: Verdict
  readonly runs: number
}

export async function shrink(seed: number, about: About = 'mixed', applies = false): Promise<Shrunk | undefined> {
  let verdict = await runSeed({ seed, about, applies })
  const kind = kindOf(verdict)
  if (kind === undefined) return undefined
  let faults = verdict.faults
  let [runs, parts] = [1, 2]
  while (faults.length >= 1 && parts <= faults.length * 2) {
    const size = Math.max(1, Math.ceil(faults.length / parts))
    let smaller: readonly Fault[] | undefined
    for (let at = 0; at < faults.length && !smaller; at += size) {
      const left = faults.filter((_, index) => index < at || index >= at + size)
      const attempt = await runSeed({ seed, about, applies, faults: left })
      runs += 1
      if (kindOf(attempt) === kind) [smaller, verdict] = [left, attempt]
    }
    if (smaller) [faults, parts] = [smaller, 2]
    else if (size === 1) break
    else parts *= 2
  }
  return { faults, verdict, runs }
}

/** The promise, without the numbers and names in its sentence. */
function kindOf({ broken: [first] }: Verdict): string | undefined {
  return first
    ?.replace(/^at \d+ ms: /, '')
    .replace(/\d+/g, '#')
    .replace(/\b[a-e]\b/g, 'N')
    .slice(0, 40)
}

export function describeShrunk({ faults, verdict, runs }: Shrunk): string {
  return [
    `seed ${verdict.seed}, shrunk to ${faults.length} of its faults in ${runs} runs:`,
    ...faults.map((fault) => `  ${describeFault(fault)}`),
    ...verdict.broken.slice(0, 3).map((sentence) => `  => ${sentence}`),
  ].join('\n')
}
