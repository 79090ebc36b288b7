/**
 * What must be true of the numbers: a shortest and longest sensible value for each, and the few relations without which
 * the others mean nothing. Both are tables; docs/config.md prints the relations.
 */
import type { Findings } from '../complaint.ts'
import type { Draft } from '../draft.ts'
import { type Timed, type TimingName, type Timings, timingsOf } from '../resolve-timing.ts'

const SECOND = 1_000
const MINUTE = 60 * SECOND

/** Least and most, in milliseconds. Below: nothing keeps up with it. Above: it is a mistake of units. */
export const BOUNDS: Readonly<Record<TimingName, readonly [number, number]>> = {
  heartbeat: [20, 10 * SECOND],
  suspectFloor: [50, MINUTE],
  suspectCeiling: [50, 5 * MINUTE],
  lostAfter: [100, 60 * MINUTE],
  stagger: [0, MINUTE],
  lease: [500, 10 * MINUTE],
  grace: [0, 60 * MINUTE],
  settle: [0, MINUTE],
  startWithin: [100, 60 * MINUTE],
  unhealthyFor: [100, 60 * MINUTE],
  probeEvery: [50, 10 * MINUTE],
  probeTimeout: [10, MINUTE],
  hold: [0, 10 * MINUTE],
}

interface Relation {
  readonly name: TimingName
  readonly times: number
  readonly than: TimingName
  readonly because: string
}

/** `name` must be at least `times` × `than`. */
export const RELATIONS: readonly Relation[] = [
  { name: 'suspectFloor', times: 2, than: 'heartbeat', because: 'one late heartbeat is no silence' },
  { name: 'suspectCeiling', times: 1, than: 'suspectFloor', because: 'a ceiling is not below its floor' },
  { name: 'lostAfter', times: 1, than: 'suspectCeiling', because: 'a node is suspect before it is lost' },
  { name: 'lease', times: 4, than: 'heartbeat', because: 'a lease must survive a few failed renewals' },
  { name: 'lease', times: 2, than: 'stagger', because: 'a candidate may not wait as long as a lease lasts' },
  { name: 'unhealthyFor', times: 1, than: 'probeTimeout', because: 'one slow check is no verdict' },
  { name: 'startWithin', times: 1, than: 'probeTimeout', because: 'a fresh instance must get one check' },
]

export function checkTiming(draft: Draft, findings: Findings): void {
  // The cluster's own numbers first: what is wrong there is found again in every service, and counts once.
  for (const timings of [timingsOf(draft), ...draft.services.map((service) => timingsOf(draft, service))]) {
    const right = checkBounds(timings, findings)
    for (const relation of RELATIONS) {
      if (right.has(relation.name) && right.has(relation.than)) checkRelation(relation, timings, findings)
    }
  }
}

function checkBounds(timings: Timings, findings: Findings): ReadonlySet<TimingName> {
  const right = new Set<TimingName>()
  for (const [name, [least, most]] of Object.entries(BOUNDS) as [TimingName, readonly [number, number]][]) {
    const { ms, path } = timings[name]
    if (path === undefined || (ms >= least && ms <= most)) right.add(name)
    else if (ms < least)
      findings.complain(path, `is ${inUnits(ms)}, shorter than makes sense`, `${inUnits(least)} or longer`)
    else findings.complain(path, `is ${inUnits(ms)}, longer than makes sense`, `${inUnits(most)} or shorter`)
  }
  return right
}

function checkRelation({ name, times, than, because }: Relation, timings: Timings, findings: Findings): void {
  const [left, right]: readonly Timed[] = [timings[name], timings[than]]
  if (left === undefined || right === undefined || left.ms >= times * right.ms) return
  const factor = times === 1 ? '' : `${times} × `
  const path = left.path ?? right.path
  if (path === undefined) return // two numbers of one preset: a test holds those
  if (left.path !== undefined) {
    const problem = `is ${inUnits(left.ms)}, less than ${factor}${than} (${inUnits(right.ms)}): ${because}`
    findings.complain(path, problem, `${inUnits(times * right.ms)} or longer, or a shorter ${than}`)
  } else {
    const problem = `is ${inUnits(right.ms)}, and ${name} (${inUnits(left.ms)}) is less than ${factor}that: ${because}`
    findings.complain(path, problem, `${inUnits(left.ms / times)} or shorter, or a longer ${name}`)
  }
}

/** As it would be written in a config: exact, in the largest unit that leaves a whole number. */
function inUnits(ms: number): string {
  if (ms >= MINUTE && ms % MINUTE === 0) return `${ms / MINUTE}m`
  return ms >= SECOND && ms % SECOND === 0 ? `${ms / SECOND}s` : `${ms}ms`
}
