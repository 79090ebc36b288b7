/**
 * Can this machine carry what is asked of it? Only agents that share one machine are counted: with the embedded store all
 * of them do. An agent that has too little processor time renews no lease in time, and its single writers are killed for it; so the rule
 * is about leases, and without single writers there is nothing to warn of.
 */
import type { Findings } from '../complaint.ts'
import type { Draft } from '../draft.ts'
import { timingsOf } from '../resolve-timing.ts'
import { instancesOf } from './check-placement.ts'

/**
 * Processor time until a program of Node answers: 60 to 100 ms as measured, doubled because services differ. In the worst case all
 * instances start at once, after the machine has booted.
 */
const START_CPU_MS = 150
/** Judgement: starts are spread and a node renews first, so a start of everything may take this many leases. */
const LEASES = 3

export function checkCapacity(draft: Draft, cores: number, findings: Findings): void {
  const instances = draft.services.reduce((sum, service) => sum + instancesOf(draft, service), 0)
  const needMs = roundUp((instances * START_CPU_MS) / cores)
  for (const service of draft.services) {
    const { ms, path = 'timing.lease' } = timingsOf(draft, service).lease
    if (!service.kind.traits(service.options).singleWriter || needMs <= ms * LEASES) continue
    const start = `${instances} instances on ${cores} core${cores === 1 ? '' : 's'} take about ${inSeconds(needMs)} to start`
    const problem = `is ${inSeconds(ms)}, and ${start}: leases may be renewed too late, and single writers killed for it`
    findings.warn(
      path,
      problem,
      `${inSeconds(roundUp(needMs / LEASES))} or longer, or run fewer instances on this machine`,
    )
  }
}

/** As it would be written in a config. */
function inSeconds(ms: number): string {
  return `${ms / 1_000}s`
}

/** To whole seconds. */
function roundUp(ms: number): number {
  return Math.ceil(ms / 1_000) * 1_000
}
