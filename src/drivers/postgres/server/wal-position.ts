/**
 * How far a replica is: bytes of WAL (PostgreSQL's LSN as a number), the timeline, and the term.
 *
 * Two traps live here. More WAL on an old branch must lose, so the term comes before the length. And the term cannot be
 * read from the rows of a replica alone: a standby may have received the first bytes of a term and not replayed them
 * yet, and would then call itself older than it is. So each replica writes down, durably and before it takes the first
 * byte, under which terms what it is about to receive was written (`Branch`): the primary tells. A branch is entered
 * when the WAL's timeline moves past `after`. That is Raft's "term of the last entry"; the term in which it is received
 * says nothing, because a replica that was away receives what is older first. Timeline ids alone would not do: two
 * promotions can both make timeline 2.
 */
import type { Position } from '../../../core/replicated/quorum-config.ts'

export interface Branch {
  readonly term: number
  /** The promotion that began it: QuorumConfig.id. */
  readonly id: string
  /** The timeline that the WAL was on before; everything on a higher one belongs to this branch. 0: everything does. */
  readonly after: number
}

/** One is added at each promotion, and a replica from further back needs a clone. */
export const BRANCHES_KEPT = 64

/** As it stands in the settings of a primary; undefined when that is no lineage. */
export function parseLineage(text: string): readonly Branch[] | undefined {
  try {
    const lineage: unknown = JSON.parse(text)
    return Array.isArray(lineage) && lineage.length > 0 && lineage.every(isBranch) ? lineage : undefined
  } catch {
    return undefined
  }
}

export function isBranch(it: unknown): it is Branch {
  const { term, id, after } = (it ?? {}) as Partial<Record<keyof Branch, unknown>>
  return Number.isInteger(term) && typeof id === 'string' && Number.isInteger(after)
}

/** `16/B374D848` as a number of bytes. */
export function parseLsn(text: string): bigint {
  const match = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/.exec(text)
  if (!match) throw new RangeError(`not an LSN: ${text}`)
  return (BigInt(`0x${match[1]}`) << 32n) + BigInt(`0x${match[2]}`)
}

export function formatLsn(bytes: bigint): string {
  return `${(bytes >> 32n).toString(16)}/${(bytes & 0xffffffffn).toString(16)}`.toUpperCase()
}

/**
 * What a standby has: the larger of received and replayed. Received is NULL after a restart, or the start of a segment
 * (failover.md, trap 18); replayed lags behind while replay is busy.
 */
export function furthest(received: string | null, replayed: string | null): bigint | null {
  const logs = [received, replayed].flatMap((text) => (text === null ? [] : [parseLsn(text)]))
  return logs.length === 0 ? null : logs.reduce((a, b) => (a > b ? a : b))
}

/** The newest branch that WAL on `timeline` has entered. */
export function branchOf(lineage: readonly Branch[], timeline: number): Branch | undefined {
  return lineage.findLast((branch) => branch.after < timeline)
}

export function positionOf(lineage: readonly Branch[], timeline: number, log: bigint): Position {
  return { term: branchOf(lineage, timeline)?.term ?? 0, timeline, log: log.toString() }
}

/** Where an older timeline ended, as the history file of a newer one tells. */
export interface Fork {
  readonly timeline: number
  readonly endLog: bigint
}

/** A `0000000N.history` file: one line for each ancestor, `timeline <tab> LSN <tab> reason`. */
export function parseHistory(text: string): readonly Fork[] {
  return text.split('\n').flatMap((line) => {
    const match = /^\s*(\d+)\s+([0-9A-F]+\/[0-9A-F]+)/i.exec(line)
    return match ? [{ timeline: Number(match[1]), endLog: parseLsn(match[2] ?? '') }] : []
  })
}

/**
 * Where a WAL left the history that ends on `timeline`: null when it did not. Equal is not diverged: a standby that
 * stopped exactly at the fork has nothing of its own.
 */
export function forkPoint(
  mine: { readonly timeline: number; readonly log: bigint },
  timeline: number,
  history: readonly Fork[],
): bigint | null {
  if (mine.timeline === timeline) return null
  const fork = history.find((ancestor) => ancestor.timeline === mine.timeline)
  // A timeline that the primary never was on: it forked somewhere before; the oldest point is what can be said.
  if (!fork) return history.reduce((least, { endLog }) => (endLog < least ? endLog : least), mine.log)
  return mine.log > fork.endLog ? fork.endLog : null
}

/** Timeline and segment number of a WAL file name (24 hexadecimal digits), undefined for anything else. */
export function parseWalName(name: string, segmentBytes: bigint): { timeline: number; segment: bigint } | undefined {
  if (!/^[0-9A-F]{24}$/.test(name)) return undefined
  const perId = 0x1_0000_0000n / segmentBytes
  const segment = BigInt(`0x${name.slice(8, 16)}`) * perId + BigInt(`0x${name.slice(16)}`)
  return { timeline: Number.parseInt(name.slice(0, 8), 16), segment }
}

/**
 * The timeline of the last byte before `log`, from the names in pg_wal: a receiver that goes over to a new timeline
 * writes the segment of the fork anew under the new number. Segments made ahead carry higher segment numbers and do not
 * count.
 */
export function timelineOfLog(names: readonly string[], log: bigint, segmentBytes: bigint): number | undefined {
  const segment = (log === 0n ? 0n : log - 1n) / segmentBytes
  const timelines = names.flatMap((name) => {
    const parsed = parseWalName(name, segmentBytes)
    return parsed?.segment === segment ? [parsed.timeline] : []
  })
  return timelines.length === 0 ? undefined : Math.max(...timelines)
}

/**
 * A segment under a new number begins with a copy of what was before the fork. A WAL that has not passed the fork is
 * still on the old timeline, whatever its file is called: calling it newer would let a replica that lacks acknowledged
 * writes win.
 */
export function belowForks(
  timeline: number,
  log: bigint,
  historyOf: (timeline: number) => readonly Fork[] | undefined,
): number {
  const parent = historyOf(timeline)?.at(-1)
  if (!parent || log > parent.endLog) return timeline
  return belowForks(parent.timeline, log, historyOf)
}

/** `00000002.history` */
export function historyName(timeline: number): string {
  return `${timeline.toString(16).toUpperCase().padStart(8, '0')}.history`
}
