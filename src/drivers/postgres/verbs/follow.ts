/**
 * Makes this member a standby of the primary of a rule, by the cheapest way that is true: a reload when its log is a part of
 * the primary's, a rewind when it has something of its own, a copy when nothing else is sound.
 *
 * It asks the primary first and receives later. Timeline numbers alone do not tell whether two logs are of one history: two
 * promotions from timeline 1 both make a timeline 2, and pg_rewind then finds nothing to do and keeps rows that nobody
 * acknowledged (trap 20). So each member remembers the promotion that it received from, and the primary has a row for each
 * promotion of its history; a promotion that is not among them never became durable.
 */
import type { QuorumConfig } from '../../../core/replicated/quorum-config.ts'
import { UnderstudyError } from '../../../errors.ts'
import type { PrimaryAddress } from '../../replica-driver.ts'
import { adoptClone, clone, removeLeftovers } from '../copy/clone.ts'
import { type Divergence, keepDiscarded } from '../copy/discarded-wal.ts'
import { rewind } from '../copy/rewind.ts'
import { mayReceive } from '../files/member-record.ts'
import { repair } from '../files/repair-folder.ts'
import type { Member } from '../member.ts'
import { lastWords } from '../server/postmaster.ts'
import { type LogState, positionIn } from '../server/replica-position.ts'
import { systemIdIn } from '../server/standby-capacity.ts'
import { isTaken, untilItStreams } from '../server/stream-state.ts'
import { branchOf, forkPoint, parseWalName } from '../server/wal-position.ts'
import { bringSlots } from '../slots/slot-copy.ts'
import { doubtSlots } from '../slots/slot-files.ts'
import { ensureSlots, releaseSlots } from './lead.ts'
import { pledge, settled, stopReceiving } from './recruit-member.ts'
import { factsOf, nextXidOf, type PrimaryFacts, renewSlot } from './remote-primary.ts'

export async function follow(
  member: Member,
  rule: QuorumConfig,
  primary: PrimaryAddress,
  signal: AbortSignal,
): Promise<void> {
  const { record, folder, node } = member.parts
  if (rule.primary === node) throw new UnderstudyError('UND_REFUSED', 'a replica cannot follow itself')
  folder.refuseForeign()
  member.repaired(member.runs ? [] : await repair(folder))
  const isNew = !followsAlready(member, rule, primary) || !isWhole(member)
  if (isNew) {
    if (mayReceive(record.now) && record.now.following?.rule.term === rule.term) record.change({ following: null })
    const led = pledge(member, rule.term)
    if (led) await member.end('immediate', 500, `follows ${rule.primary} from term ${rule.term} on`)
    const facts = await factsWhileStill(member, rule, primary, signal)
    const isStraight = await prepareData(member, rule, primary, facts, signal)
    // Each connection more is a part of every failover; what took its time may have cost the slot.
    if (!isStraight || !facts.hasSlot) await renewSlot(member, primary)
    await receive(member, rule, primary)
  } else {
    if (!member.runs) await member.start(signal)
    if (!(await isTaken(member, primary))) await catchUp(member, rule, primary, signal)
  }
  await untilItStreams(member, primary, isNew, signal)
  await releaseSlots(member)
  await ensureSlots(member, [rule.primary, ...rule.members])
}

/** What the primary says; asked while the server here comes to rest, because both are a part of every failover. */
async function factsWhileStill(
  member: Member,
  rule: QuorumConfig,
  primary: PrimaryAddress,
  signal: AbortSignal,
): Promise<PrimaryFacts> {
  // Both have ended before anything else happens here, also when one of them failed.
  const asked = factsOf(member, rule, primary, signal, 'about-to-lead')
  const [facts, still] = await Promise.allSettled([asked, standStill(member, signal)])
  if (facts.status === 'rejected') throw facts.reason
  if (still.status === 'rejected') throw still.reason
  // Whose log is a part of it may connect now, and goes over to the new timeline with the promotion: its first confirmation is
  // what everybody waits for. Anything else is decided by what the promotion made of it.
  if (facts.value.isPromoted || (await isPartOf(member, facts.value))) return facts.value
  return factsOf(member, rule, primary, signal)
}

async function isPartOf(member: Member, facts: PrimaryFacts): Promise<boolean> {
  if (!isWhole(member)) return false
  const state = await settled(member)
  return !lacksLog(state, facts) && (await divergenceFrom(member, state, facts)) === null
}

/** Whatever is here runs, and receives from nobody. */
async function standStill(member: Member, signal: AbortSignal): Promise<void> {
  if (!isWhole(member)) {
    if (member.runs) await member.end('immediate', 500, 'its data is gone')
    return
  }
  if (member.runs) await stopReceiving(member)
  else await member.start(signal)
}

/** A server that never gets healthy on its data is not tried for ever: what is there is replaced by a copy, once. */
const TRIES = 3

function isWhole({ parts, badRuns, copiedAnew }: Member): boolean {
  return parts.folder.content() === 'data' && !parts.record.now.torn && (badRuns < TRIES || copiedAnew)
}

/**
 * What it lacks may be gone from the primary, when it was away for long, or a receiver of an older time brought it what the
 * primary does not have: then waiting would never help.
 */
async function catchUp(
  member: Member,
  rule: QuorumConfig,
  primary: PrimaryAddress,
  signal: AbortSignal,
): Promise<void> {
  const facts = await factsOf(member, rule, primary, signal)
  if (await isPartOf(member, facts)) return renewSlot(member, primary)
  member.parts.record.change({ following: null })
  await standStill(member, signal)
  await prepareData(member, rule, primary, facts, signal)
  await renewSlot(member, primary)
  await receive(member, rule, primary)
}

function lacksLog({ log, segmentBytes }: LogState, { oldestLog }: PrimaryFacts): boolean {
  const oldest = oldestLog === null ? undefined : parseWalName(`00000001${oldestLog}`, segmentBytes)
  return oldest !== undefined && log / segmentBytes < oldest.segment
}

function followsAlready(member: Member, rule: QuorumConfig, primary: PrimaryAddress): boolean {
  const { following, pledged } = member.record
  if (!following || pledged > rule.term || following.rule.term !== rule.term) return false
  return following.primary.host === primary.host && following.primary.port === primary.port
}

/**
 * For a server that stands still. Afterwards the data is a part of the primary's history, and `lineage` says what is received from
 * now on. True when the data was that already.
 */
async function prepareData(
  member: Member,
  rule: QuorumConfig,
  primary: PrimaryAddress,
  facts: PrimaryFacts,
  signal: AbortSignal,
): Promise<boolean> {
  const { record } = member.parts
  member.ofPrimary = facts.capacity
  const copied = async () => {
    await copyAll(member, primary, facts, signal)
    return false
  }
  if (!isWhole(member)) return copied()
  const state = await settled(member)
  const divergence = await divergenceFrom(member, state, facts)
  if (divergence === null) {
    if (lacksLog(state, facts)) return copied()
    // All that it has and will receive is of the primary's history.
    record.change({ lineage: facts.lineage, suspect: false })
    return true
  }
  const nextXid = await nextXidOf(member, rule, primary)
  const kept = await keepDiscarded(member, { ...divergence, nextXid }, signal)
  record.change({ suspect: true, discarded: kept })
  return divergence.canRewind && (await rewind(member, rule, primary, facts, signal)) ? false : copied()
}

interface FoundDivergence extends Omit<Divergence, 'nextXid'> {
  readonly canRewind: boolean
}

async function divergenceFrom(member: Member, state: LogState, facts: PrimaryFacts): Promise<FoundDivergence | null> {
  const system = await member.session.one('select system_identifier::text as id from pg_control_system()')
  if (system.id !== facts.systemId) {
    throw new UnderstudyError('UND_REFUSED', `${member.parts.folder.data} is of another database: move it away`)
  }
  const mine = positionIn(member, state)
  const found = { mine, segmentBytes: state.segmentBytes }
  const branch = branchOf(member.record.lineage, mine.timeline)
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
  member: Member,
  primary: PrimaryAddress,
  facts: PrimaryFacts,
  signal: AbortSignal,
): Promise<void> {
  const { record, binaries, folder } = member.parts
  if (facts.version !== binaries.version) {
    const versions = `${primary.node} runs PostgreSQL ${facts.version}, and here is ${binaries.version} in ${binaries.dir}`
    throw new UnderstudyError('UND_REFUSED', `${versions}: a replica needs the same version (option bin)`)
  }
  const isTried = member.badRuns >= TRIES
  const tries = `its server did not get healthy in ${TRIES} tries (${lastWords(folder)})`
  if (isTried) member.parts.tell(`${tries}: copying from ${primary.node}`)
  await renewSlot(member, primary) // what is written during the copy is held back for it
  const { untilLog } = await clone(member, primary, signal)
  if (member.runs) await member.end('immediate', 500, 'replaced by a clone')
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
  await adoptClone(member, keepsOld)
  if (keepsOld)
    member.parts.record.change({ discarded: `what was here before could not be read: kept in ${folder.setAside}` })
  member.copiedAnew = isTried
  record.change({ torn: false })
  await removeLeftovers(folder)
}

async function receive(member: Member, rule: QuorumConfig, primary: PrimaryAddress): Promise<void> {
  const { record } = member.parts
  if (record.now.pledged !== rule.term) throw new UnderstudyError('UND_REFUSED', 'pledged to a higher term meanwhile')
  record.change({ following: { rule, primary } })
  // With less than its primary it would stop replaying where the primary's WAL says so.
  const less = member.runs ? await member.shortfall(member.session, member.ofPrimary) : null
  if (less !== null) await member.end('immediate', 500, `started anew, because ${less}`)
  // Where they cannot be had now they come later, with a restart.
  await bringSlots(member, primary).catch(() => doubtSlots(member.parts.folder))
  if (member.runs) member.reload()
  else await member.start()
  member.ofPrimary = {} // from here on its WAL says it
}
