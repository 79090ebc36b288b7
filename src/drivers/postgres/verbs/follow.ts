/**
 * Makes this replica a standby of the primary of a quorum, by the cheapest way that is correct: a reload when its WAL
 * is a part of the primary's, a rewind when it has something of its own, a clone when nothing else is sound.
 *
 * It asks the primary first and receives later. Timeline numbers alone do not tell whether two WALs are of one history:
 * two promotions from timeline 1 both make a timeline 2, and pg_rewind then finds nothing to do and keeps
 * unacknowledged rows (trap 20). So each replica remembers the promotion that it received from, and the primary has a
 * row for each promotion of its history; a promotion that is not among them never became durable.
 */
import type { QuorumConfig } from '../../../core/replicated/quorum-config.ts'
import { UnderstudyError } from '../../../errors.ts'
import type { PrimaryAddress } from '../../replica-driver.ts'
import { adoptClone, clone, removeLeftovers } from '../copy/clone.ts'
import { type Divergence, keepDiscarded } from '../copy/discarded-wal.ts'
import { rewind } from '../copy/rewind.ts'
import { mayReceive } from '../files/durable-record.ts'
import { repair } from '../files/repair-folder.ts'
import type { Replica } from '../replica.ts'
import { lastWords } from '../server/postmaster.ts'
import { type LogState, positionIn } from '../server/replica-position.ts'
import { systemIdIn } from '../server/standby-capacity.ts'
import { isTaken, untilItStreams } from '../server/stream-state.ts'
import { branchOf, forkPoint, parseWalName } from '../server/wal-position.ts'
import { bringSlots } from '../slots/slot-copy.ts'
import { doubtSlots } from '../slots/slot-files.ts'
import { ensureSlots, releaseSlots } from './promote-server.ts'
import { pledge, settled, stopReceiving } from './recruit-server.ts'
import { factsOf, nextXidOf, type PrimaryFacts, renewSlot } from './remote-primary.ts'

export async function follow(
  replica: Replica,
  quorum: QuorumConfig,
  primary: PrimaryAddress,
  signal: AbortSignal,
): Promise<void> {
  const { record, folder, node } = replica.parts
  if (quorum.primary === node) throw new UnderstudyError('UND_REFUSED', 'a replica cannot follow itself')
  folder.refuseForeign()
  replica.repaired(replica.runs ? [] : await repair(folder))
  const isNew = !followsAlready(replica, quorum, primary) || !isWhole(replica)
  if (isNew) {
    if (mayReceive(record.now) && record.now.following?.quorum.term === quorum.term) record.change({ following: null })
    const led = pledge(replica, quorum.term)
    if (led) await replica.end('immediate', 500, `follows ${quorum.primary} from term ${quorum.term} on`)
    const facts = await factsWhileStill(replica, quorum, primary, signal)
    const isStraight = await prepareData(replica, quorum, primary, facts, signal)
    // Each connection more is a part of every failover; what took its time may have cost the slot.
    if (!isStraight || !facts.hasSlot) await renewSlot(replica, primary)
    await receive(replica, quorum, primary)
  } else {
    if (!replica.runs) await replica.start(signal)
    if (!(await isTaken(replica, primary))) await catchUp(replica, quorum, primary, signal)
  }
  await untilItStreams(replica, primary, isNew, signal)
  await releaseSlots(replica)
  await ensureSlots(replica, [quorum.primary, ...quorum.standbys])
}

/** The primary's answer; asked while the server here stops receiving, because both are a part of every failover. */
async function factsWhileStill(
  replica: Replica,
  quorum: QuorumConfig,
  primary: PrimaryAddress,
  signal: AbortSignal,
): Promise<PrimaryFacts> {
  // Both have ended before anything else happens here, also when one of them failed.
  const asked = factsOf(replica, quorum, primary, signal, 'about-to-lead')
  const [facts, still] = await Promise.allSettled([asked, standStill(replica, signal)])
  if (facts.status === 'rejected') throw facts.reason
  if (still.status === 'rejected') throw still.reason
  // A replica whose WAL is a part of it may connect now, and goes over to the new timeline with the promotion: the
  // first commits wait for its confirmation. Anything else depends on what the promotion made of it.
  if (facts.value.isPromoted || (await isPartOf(replica, facts.value))) return facts.value
  return factsOf(replica, quorum, primary, signal)
}

async function isPartOf(replica: Replica, facts: PrimaryFacts): Promise<boolean> {
  if (!isWhole(replica)) return false
  const state = await settled(replica)
  return !lacksLog(state, facts) && (await divergenceFrom(replica, state, facts)) === null
}

/** The server here runs, and does not receive. */
async function standStill(replica: Replica, signal: AbortSignal): Promise<void> {
  if (!isWhole(replica)) {
    if (replica.runs) await replica.end('immediate', 500, 'its data is gone')
    return
  }
  if (replica.runs) await stopReceiving(replica)
  else await replica.start(signal)
}

/** A server that never gets healthy on its data is not restarted for ever: its data is replaced by a clone, once. */
const TRIES = 3

function isWhole({ parts, badRuns, copiedAnew }: Replica): boolean {
  return parts.folder.content() === 'data' && !parts.record.now.torn && (badRuns < TRIES || copiedAnew)
}

/**
 * What it lacks may be gone from the primary, when it was away for long, or a receiver of an older time brought it what the
 * primary does not have: then waiting would never help.
 */
async function catchUp(
  replica: Replica,
  quorum: QuorumConfig,
  primary: PrimaryAddress,
  signal: AbortSignal,
): Promise<void> {
  const facts = await factsOf(replica, quorum, primary, signal)
  if (await isPartOf(replica, facts)) return renewSlot(replica, primary)
  replica.parts.record.change({ following: null })
  await standStill(replica, signal)
  await prepareData(replica, quorum, primary, facts, signal)
  await renewSlot(replica, primary)
  await receive(replica, quorum, primary)
}

function lacksLog({ log, segmentBytes }: LogState, { oldestLog }: PrimaryFacts): boolean {
  const oldest = oldestLog === null ? undefined : parseWalName(`00000001${oldestLog}`, segmentBytes)
  return oldest !== undefined && log / segmentBytes < oldest.segment
}

function followsAlready(replica: Replica, quorum: QuorumConfig, primary: PrimaryAddress): boolean {
  const { following, pledged } = replica.record
  if (!following || pledged > quorum.term || following.quorum.term !== quorum.term) return false
  return following.primary.host === primary.host && following.primary.port === primary.port
}

/**
 * For a server that stands still. Afterwards the data is a part of the primary's history, and `lineage` says what is received from
 * now on. True when the data was that already.
 */
async function prepareData(
  replica: Replica,
  quorum: QuorumConfig,
  primary: PrimaryAddress,
  facts: PrimaryFacts,
  signal: AbortSignal,
): Promise<boolean> {
  const { record } = replica.parts
  replica.ofPrimary = facts.capacity
  const copied = async () => {
    await copyAll(replica, primary, facts, signal)
    return false
  }
  if (!isWhole(replica)) return copied()
  const state = await settled(replica)
  const divergence = await divergenceFrom(replica, state, facts)
  if (divergence === null) {
    if (lacksLog(state, facts)) return copied()
    // All that it has and will receive is of the primary's history.
    record.change({ lineage: facts.lineage, suspect: false })
    return true
  }
  const nextXid = await nextXidOf(replica, quorum, primary)
  const kept = await keepDiscarded(replica, { ...divergence, nextXid }, signal)
  record.change({ suspect: true, discarded: kept })
  return divergence.canRewind && (await rewind(replica, quorum, primary, facts, signal)) ? false : copied()
}

interface FoundDivergence extends Omit<Divergence, 'nextXid'> {
  readonly canRewind: boolean
}

async function divergenceFrom(replica: Replica, state: LogState, facts: PrimaryFacts): Promise<FoundDivergence | null> {
  const system = await replica.session.one('select system_identifier::text as id from pg_control_system()')
  if (system.id !== facts.systemId) {
    throw new UnderstudyError('UND_REFUSED', `${replica.parts.folder.data} is of another database: move it away`)
  }
  const mine = positionIn(replica, state)
  const found = { mine, segmentBytes: state.segmentBytes }
  const branch = branchOf(replica.record.lineage, mine.timeline)
  const fork = forkPoint({ timeline: mine.timeline, log: state.log }, facts.timeline, facts.history)
  const ofTheirs = branch === undefined || branch.id === facts.promotion || facts.promotions.includes(branch.id)
  if (!ofTheirs) {
    const sameNumber = mine.timeline === facts.timeline || facts.history.some((old) => old.timeline === mine.timeline)
    const why = `written under term ${branch.term}, whose promotion never became durable`
    const oldest = facts.history.reduce((least, { endLog }) => (endLog < least ? endLog : least), state.log)
    return { ...found, fork: fork ?? oldest, why, canRewind: !sameNumber }
  }
  if (fork !== null) return { ...found, fork, why: 'never acknowledged', canRewind: true }
  if (mine.timeline === facts.timeline && state.log > facts.log) {
    return { ...found, fork: facts.log, why: 'which the primary lost', canRewind: false }
  }
  return null
}

async function copyAll(
  replica: Replica,
  primary: PrimaryAddress,
  facts: PrimaryFacts,
  signal: AbortSignal,
): Promise<void> {
  const { record, binaries, folder } = replica.parts
  if (facts.version !== binaries.version) {
    const versions = `${primary.node} runs PostgreSQL ${facts.version}, and here is ${binaries.version} in ${binaries.dir}`
    throw new UnderstudyError('UND_REFUSED', `${versions}: a replica needs the same version (option bin)`)
  }
  const isTried = replica.badRuns >= TRIES
  const tries = `its server did not get healthy in ${TRIES} tries (${lastWords(folder)})`
  if (isTried) replica.parts.tell(`${tries}: copying from ${primary.node}`)
  await renewSlot(replica, primary) // what is written during the clone is held back for it
  const { untilLog } = await clone(replica, primary, signal)
  if (replica.runs) await replica.end('immediate', 500, 'replaced by a clone')
  // The record first: data without it would not know what it is. Until the data is there what lies there is no use: it was
  // written under another promotion than the record says now.
  const isReplaceable = !record.now.suspect && systemIdIn(folder.data) === facts.systemId
  const keepsOld = (isTried || folder.content() === 'damaged') && !isReplaceable
  record.change({
    lineage: facts.lineage,
    quarantinedUntil: untilLog.toString(),
    suspect: false,
    torn: true,
  })
  await adoptClone(replica, keepsOld)
  if (keepsOld)
    replica.parts.record.change({ discarded: `what was here before could not be read: kept in ${folder.setAside}` })
  replica.copiedAnew = isTried
  record.change({ torn: false })
  await removeLeftovers(folder)
}

async function receive(replica: Replica, quorum: QuorumConfig, primary: PrimaryAddress): Promise<void> {
  const { record } = replica.parts
  if (record.now.pledged !== quorum.term) throw new UnderstudyError('UND_REFUSED', 'pledged to a higher term meanwhile')
  record.change({ following: { quorum, primary } })
  // With less than its primary it would stop replaying where the primary's WAL says so.
  const less = replica.runs ? await replica.shortfall(replica.session, replica.ofPrimary) : null
  if (less !== null) await replica.end('immediate', 500, `started anew, because ${less}`)
  // Where they cannot be had now they come later, with a restart.
  await bringSlots(replica, primary).catch(() => doubtSlots(replica.parts.folder))
  if (replica.runs) replica.reload()
  else await replica.start()
  replica.ofPrimary = {} // from here on its WAL says it
}
