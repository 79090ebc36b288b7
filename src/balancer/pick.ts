/**
 * Which target gets this request? Pure: what is known of the targets and a source of chance in, a target out.
 *
 * Among equals: the least loaded. With more than three targets, the less loaded of two drawn at random ("the power of
 * two choices", Mitzenmacher 2001), which keeps balancers that cannot see each other from all choosing the same one.
 * With two or three targets two draws see nearly all of them anyway, so all are compared.
 *
 * Failing open. Load balancers that give up on a target for good turn a wrong suspicion into an outage; those that
 * never give up send requests into a void. So targets stand in ranks, and a worse rank is used only when the better
 * ones are empty:
 *
 *     1. healthy
 *     2. suspect: missed one probe, refused once, or reports itself unhealthy. It may answer all the same.
 *     3. dead for its silence: hung, or disconnected, or merely slower than we have patience for. Only for requests that may
 *        be sent again, because this one's fate may never be known; the one that was heard from last goes first.
 *     -. dead for its refusals: never. No program listens there, and the request can be held until one does.
 */
import type { Random } from '../lib/random.ts'
import type { Belief } from './verdict.ts'

export interface Candidate {
  readonly belief: Belief
  /** Requests and connections that this balancer has open there, without streams. */
  readonly load: number
  /** Streams that it has open there: idle most of the time, so they only decide between equals. */
  readonly streams: number
  /** No further connection may be opened to it. */
  readonly full: boolean
  /** When it last answered anything, on the monotonic clock. */
  readonly lifeMs: number
}

export type Rank = 'healthy' | 'suspect' | 'silent'

export function rankOf(belief: Belief): Rank | 'never' {
  if (belief.verdict !== 'dead') return belief.verdict
  return belief.cause === 'refused' ? 'never' : 'silent'
}

/** `candidates`: those the table allows and this request has not tried. Undefined when none of them will do. */
export function pick<C extends Candidate>(
  candidates: readonly C[],
  mayBeRepeated: boolean,
  random: Random,
): C | undefined {
  const open = candidates.filter((candidate) => !candidate.full)
  return (
    leastLoaded(ofRank(open, 'healthy'), random) ??
    leastLoaded(ofRank(open, 'suspect'), random) ??
    (mayBeRepeated ? heardFromLast(ofRank(open, 'silent')) : undefined)
  )
}

function ofRank<C extends Candidate>(candidates: readonly C[], rank: Rank): readonly C[] {
  return candidates.filter((candidate) => rankOf(candidate.belief) === rank)
}

function leastLoaded<C extends Candidate>(candidates: readonly C[], random: Random): C | undefined {
  const drawn = candidates.length > 3 ? drawTwo(candidates, random) : candidates
  const ties = leastBy(leastBy(drawn, 'load'), 'streams')
  return ties[Math.floor(random() * ties.length)]
}

function leastBy<C extends Candidate>(candidates: readonly C[], what: 'load' | 'streams'): readonly C[] {
  const least = candidates.reduce((min, candidate) => Math.min(min, candidate[what]), Number.POSITIVE_INFINITY)
  return candidates.filter((candidate) => candidate[what] === least)
}

function drawTwo<C>(candidates: readonly C[], random: Random): C[] {
  const first = Math.floor(random() * candidates.length)
  const offset = 1 + Math.floor(random() * (candidates.length - 1))
  const second = (first + offset) % candidates.length
  return [candidates[first], candidates[second]].filter((candidate) => candidate !== undefined)
}

function heardFromLast<C extends Candidate>(candidates: readonly C[]): C | undefined {
  return candidates.reduce<C | undefined>((best, one) => (best && best.lifeMs >= one.lifeMs ? best : one), undefined)
}
