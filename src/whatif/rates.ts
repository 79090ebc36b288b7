/**
 * How often things fail and how long they stay away. These are not known for a cluster that does not run yet; they are
 * stated so that they can be disputed, and each can be replaced (`--mtbf-node 1y`). What follows from them is only as
 * good as they are: it compares plans with each other better than it foretells a year.
 */
export interface Rates {
  /** Mean time between failures, and mean time to repair, in milliseconds. */
  readonly mtbfNodeMs: number
  readonly mttrNodeMs: number
  readonly mtbfZoneMs: number
  readonly mttrZoneMs: number
  readonly mtbfRegionMs: number
  readonly mttrRegionMs: number
  /** A single process that ends by itself; how long it stays away is worked out, not assumed. */
  readonly mtbfProcessMs: number
}

const HOUR = 3_600_000
const DAY = 24 * HOUR

/**
 * "Dean": J. Dean's figures for a new cluster of Google's in its first year (Designs, Lessons and Advice from Building
 * Large Distributed Systems, LADIS 2009, and the talks of 2008 before it). The others are judgement, on the bad side.
 */
export const GUESSED: Rates = {
  mtbfNodeMs: 180 * DAY, // Dean: each machine crashes at least twice a year
  mttrNodeMs: 4 * HOUR, // judgement: an operator has to see it, and perhaps to go there
  mtbfZoneMs: 730 * DAY, // derived from Dean: some 20 racks of some 40 disappear in a year
  mttrZoneMs: 4 * HOUR, // Dean: 1 to 6 hours until a rack is back
  mtbfRegionMs: 3_650 * DAY, // judgement: a whole site, once in ten years
  mttrRegionMs: 8 * HOUR, // judgement
  mtbfProcessMs: 14 * DAY, // judgement: a crash, a leak, a hang of one program
}

/** The share of time for which something that fails like this is away. */
export function unavailability(mtbfMs: number, mttrMs: number): number {
  return mttrMs / (mtbfMs + mttrMs)
}
