/**
 * What a replica does about the logical replication slots of users, decided from one look at the primary and at itself.
 * Pure.
 *
 * A slot is a place in the WAL and the oldest rows of the catalog that decoding from there needs. PostgreSQL keeps it
 * in a file of the primary alone. From version 17 on a standby synchronises slots that are made with `failover = true`
 * by itself. Before, the way is Patroni's: the state file is copied into the standby once, and the slot is advanced
 * there to where the consumer has confirmed on the primary (slot-carrier.ts).
 *
 * What must always be true: a slot that is there after a promotion gives its consumer every change from what it
 * confirmed. So a copied slot counts only when the rows that it needs are known to be kept:
 *
 *     1. the primary holds rows back for this standby (hot_standby_feedback), from no later than this slot needs;
 *     2. this slot has come to where the primary's own slot held rows back when 1. was first seen: older rows may be gone;
 *     3. the snapshot that decoding begins with is on this disk. PostgreSQL writes one where a slot may begin, and keeps it
 *        beside the slots, outside the WAL. Without it decoding looks for a consistent point of its own, and skips what
 *        comes before it.
 *
 * A slot for which that is not known is dropped before a promotion: its consumer gets an error, never a gap.
 */
import type { NodeName } from '../../../core/model.ts'
import type { QuorumConfig } from '../../../core/replicated/quorum-config.ts'
import type { Row } from '../server/admin-session.ts'
import { parseLsn } from '../server/wal-position.ts'

/** From here on PostgreSQL synchronises slots by itself. */
export const SYNCHRONISES_SLOTS = 17

export interface LogicalSlot {
  readonly name: string
  readonly database: string
  readonly plugin: string
  readonly temporary: boolean
  readonly active: boolean
  readonly twoPhase: boolean
  /** Made to be synchronised; always false before version 17. */
  readonly failover: boolean
  /** PostgreSQL's own copy of the primary's slot. */
  readonly synced: boolean
  /** What its consumer has confirmed; null: it is being made. */
  readonly confirmed: bigint | null
  /** The oldest WAL that it needs. */
  readonly restart: bigint | null
  readonly catalogXmin: number | null
  /** It held back more WAL than a slot may, or rows that it needs are gone: it is of no use any more. */
  readonly lost: boolean
}

/** A row of pg_replication_slots as JSON: columns differ from version to version. */
export function slotFromRow(row: Row): LogicalSlot {
  const lsn = (value: unknown) => (typeof value === 'string' ? parseLsn(value) : null)
  return {
    name: String(row.slot_name),
    database: String(row.database),
    plugin: String(row.plugin),
    temporary: row.temporary === true,
    active: row.active === true,
    twoPhase: row.two_phase === true,
    failover: row.failover === true,
    synced: row.synced === true,
    confirmed: lsn(row.confirmed_flush_lsn),
    restart: lsn(row.restart_lsn),
    catalogXmin: row.catalog_xmin === null || row.catalog_xmin === undefined ? null : Number(row.catalog_xmin),
    lost: row.wal_status === 'lost' || row.conflicting === true || typeof row.invalidation_reason === 'string',
  }
}

/** What a replica remembers about slots, on its disk: slot-files.ts. */
export interface SlotMemory {
  /** Slots of users that came from a primary, or were here while this replica was primary. Others on a standby are not ours. */
  readonly ours: readonly string[]
  /** Of these, those that may be used after a promotion of this replica. */
  readonly ready: readonly string[]
}

export const NO_SLOTS: SlotMemory = { ours: [], ready: [] }

export interface SlotSight {
  readonly version: number
  /** The primary's. */
  readonly there: readonly LogicalSlot[]
  readonly here: readonly LogicalSlot[]
  /** From which transaction on the primary keeps rows of the catalog for this standby; null: it does not. */
  readonly heldXmin: number | null
  /** What has been replayed here. */
  readonly replayed: bigint
  /** Where the oldest WAL here begins. */
  readonly oldestWal: bigint
  /** Slots whose first snapshot is on this disk. */
  readonly rooted: readonly string[]
  /** Plugins that are not installed here. */
  readonly missingPlugins: readonly string[]
  readonly memory: SlotMemory
  /** For each slot: which rows the primary held back when it first held some back for this standby. */
  readonly bounds: ReadonlyMap<string, number>
}

export interface SlotDecision {
  readonly drop: readonly string[]
  /** To be copied from the primary, which takes a restart of this standby. */
  readonly copy: readonly string[]
  readonly advance: readonly { readonly name: string; readonly database: string; readonly to: bigint }[]
  readonly memory: SlotMemory
  readonly bounds: ReadonlyMap<string, number>
  /** Slots that this standby would lose in a promotion now: name, then why. */
  readonly lacks: readonly string[]
}

export function decideSlots(sight: SlotSight): SlotDecision {
  return sight.version >= SYNCHRONISES_SLOTS ? decideSynchronised(sight) : decideCopied(sight)
}

/** PostgreSQL does the work; what is left from a time as primary is in its way, and stale. */
function decideSynchronised({ there, here, memory }: SlotSight): SlotDecision {
  const stale = here.filter(
    ({ name, synced, failover, temporary }) => !synced && !temporary && (failover || memory.ours.includes(name)),
  )
  const ofTheirs = there.filter(({ failover, temporary, lost }) => failover && !temporary && !lost)
  const lacks = ofTheirs.flatMap(({ name }) => {
    const own = here.find((slot) => slot.name === name)
    if (own?.synced && !own.temporary && !own.lost) return []
    if (own?.lost) return [`${name} (it lost what it needs, and is synchronised anew)`]
    return [`${name} (not synchronised yet: it waits until its consumer has come to where this standby began)`]
  })
  const ours = stale.filter(({ active }) => active).map(({ name }) => name)
  const drop = stale.filter(({ active }) => !active).map(({ name }) => name)
  return { drop, copy: [], advance: [], memory: { ours, ready: [] }, bounds: new Map(), lacks }
}

function decideCopied(sight: SlotSight): SlotDecision {
  const { version, there, here, memory } = sight
  const wanted = there.filter(({ temporary, lost, confirmed }) => !temporary && !lost && confirmed !== null)
  const outcomes = wanted.map((slot) => decideOne(sight, slot))
  // Before version 16 a standby has no logical slots but those that came from a primary.
  const isOurs = ({ name }: LogicalSlot) => version < 16 || memory.ours.includes(name)
  const unwanted = here.filter((slot) => isOurs(slot) && !wanted.some(({ name }) => name === slot.name))
  const named = (what: Outcome['what']) => outcomes.filter((one) => one.what === what).map(({ slot }) => slot.name)
  const unusable = outcomes.filter(({ what }) => what === 'drop').map(({ own }) => own)
  const drop = [...unwanted, ...unusable].flatMap((slot) => (slot && !slot.active ? [slot.name] : []))
  const ready = outcomes.filter(({ isReady }) => isReady).map(({ slot }) => slot.name)
  const ours = [...new Set([...memory.ours, ...wanted.map(({ name }) => name)])].filter(
    (name) => here.some((slot) => slot.name === name) && !drop.includes(name),
  )
  return {
    drop,
    copy: named('copy'),
    advance: outcomes.flatMap(({ slot: { name, database }, to }) => (to === null ? [] : [{ name, database, to }])),
    memory: { ours: ours.toSorted(), ready: ready.toSorted() },
    bounds: new Map(outcomes.flatMap(({ slot, bound }) => (bound === null ? [] : [[slot.name, bound]]))),
    lacks: outcomes.flatMap(({ slot, why }) => (why === '' ? [] : [`${slot.name} (${why})`])),
  }
}

interface Outcome {
  readonly slot: LogicalSlot
  readonly own: LogicalSlot | undefined
  readonly what: 'copy' | 'drop' | 'keep' | 'impossible'
  readonly to: bigint | null
  readonly bound: number | null
  readonly isReady: boolean
  /** Why it would be lost now; empty: it would not. */
  readonly why: string
}

function decideOne(sight: SlotSight, slot: LogicalSlot): Outcome {
  const own = sight.here.find(({ name }) => name === slot.name)
  const not = (what: Outcome['what'], why: string): Outcome => ({
    ...{ slot, own, what, to: null, bound: null, isReady: false, why },
  })
  if (sight.missingPlugins.includes(slot.plugin)) {
    return not(own ? 'drop' : 'impossible', `its plugin ${slot.plugin} is not installed here`)
  }
  if (own?.lost) return not('drop', 'it held back more WAL here than a slot may, and is copied anew')
  if (own && isAnother(own, slot)) return not('drop', 'a slot of another kind has its name here')
  if (!own) {
    return (slot.restart ?? 0n) < sight.oldestWal
      ? not('impossible', 'this standby does not have the WAL that it needs any more: its consumer is too far behind')
      : not('copy', 'not copied yet')
  }
  const to = least(slot.confirmed ?? 0n, sight.replayed)
  const bound = boundOf(sight, slot, own)
  const hasPassed = bound !== null && own.catalogXmin !== null && !precedes(own.catalogXmin, bound)
  const isHeld = hasPassed || (bound !== null && sight.memory.ready.includes(slot.name))
  const isRooted = sight.rooted.includes(slot.name)
  const isReady = isHeld && isRooted
  return {
    ...{ slot, own, what: 'keep', bound, isReady },
    to: to > (own.confirmed ?? 0n) ? to : null,
    why: isReady ? '' : isRooted ? 'not known yet that the primary keeps what it needs' : UNROOTED,
  }
}

const UNROOTED = 'decoding has no point here yet that it may begin at: a checkpoint of the primary or two make one'

/** Rows are held back for this standby, from no later than its slot needs: since then, and what the primary held back then. */
function boundOf({ heldXmin, bounds }: SlotSight, slot: LogicalSlot, own: LogicalSlot): number | null {
  if (heldXmin === null || own.catalogXmin === null || precedes(own.catalogXmin, heldXmin)) return null
  return bounds.get(slot.name) ?? slot.catalogXmin
}

function isAnother(own: LogicalSlot, slot: LogicalSlot): boolean {
  return own.plugin !== slot.plugin || own.database !== slot.database || own.twoPhase !== slot.twoPhase
}

function least(a: bigint, b: bigint): bigint {
  return a < b ? a : b
}

/** Transaction numbers go round: which of two is older is said by their distance. */
export function precedes(a: number, b: number): boolean {
  return ((a - b) | 0) < 0
}

/** Slots of a primary that no standby can take over, each with the reason. */
export function slotsNotCarried(slots: readonly LogicalSlot[], version: number, isConfigured: boolean): string[] {
  return slots.flatMap(({ name, temporary, lost, failover }) => {
    const why = () => {
      if (temporary) return 'temporary'
      if (lost) return 'it lost the WAL that it needs'
      if (!isConfigured) return "the config does not say wal_level: 'logical'"
      if (version >= SYNCHRONISES_SLOTS && !failover) return 'made without failover = true'
      return ''
    }
    return why() === '' ? [] : [`${name} (${why()})`]
  })
}

/** Slots that must not survive a promotion: where this replica would go on from is not known to be right. */
export function unsafeSlots(here: readonly LogicalSlot[], version: number, { ours, ready }: SlotMemory): string[] {
  const isOurs = ({ name, failover }: LogicalSlot) => version < 16 || failover || ours.includes(name)
  return here.filter((slot) => !slot.synced && isOurs(slot) && !ready.includes(slot.name)).map(({ name }) => name)
}

/**
 * The standbys that must have a change before a consumer of a synchronised slot gets it (synchronized_standby_slots): PostgreSQL
 * waits for all that are named, so it is those that stream. While these are fewer than a write needs, all are named: no consumer
 * gets a change that could still be lost.
 */
export function confirmingStandbys(
  quorum: QuorumConfig | null,
  streaming: readonly NodeName[] | null,
): readonly NodeName[] {
  if (quorum === null || quorum.k === 0) return []
  const present = streaming === null ? [] : quorum.standbys.filter((node) => streaming.includes(node))
  return present.length >= quorum.k ? present : quorum.standbys
}

/** Is it asked for logical decoding at all? */
export function decodes(settings: Readonly<Record<string, string | number | boolean>>): boolean {
  const [, level] = Object.entries(settings).findLast(([name]) => name.toLowerCase() === 'wal_level') ?? []
  return String(level).toLowerCase() === 'logical'
}
