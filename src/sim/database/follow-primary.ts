/**
 * How a simulated replica follows a primary. It asks the primary before it receives anything: timelines have numbers
 * and numbers repeat (trap 20), so what counts is whether the promotion that wrote its last entry is one that the
 * primary knows.
 */

import type { QuorumConfig } from '../../core/replicated/quorum-config.ts'
import { refusal } from '../../drivers/driver-refusal.ts'
import type { DatabaseServer } from './database-server.ts'
import type { Disk } from './disk.ts'
import { mayReceive } from './disk.ts'
import { START_WITHIN_MS, type Verb } from './driver-verbs.ts'
import { leadsStill, pledge } from './recruit-replica.ts'
import { endOfPromotion, endOfTimeline, shared } from './wal-model.ts'

const REWIND_MS = 200
const CLONE_MS = 300
const REWINDS_FAIL = 0.1

export async function follow(verb: Verb, quorum: QuorumConfig): Promise<void> {
  const { following, pledged } = verb.record
  const already = following?.term === quorum.term && following.node === quorum.primary && pledged <= quorum.term
  if (!already) {
    if (following?.term === quorum.term && mayReceive(verb.record)) verb.note({ following: null })
    const led = pledge(verb, quorum.term)
    if (led || leadsStill(verb) || verb.server.isFrozen) await verb.end('immediate', 0)
    verb.disk.standbySignal = true
    Object.assign(verb.disk.settings, { receiveFrom: null })
    await prepare(verb, quorum)
    if (verb.record.pledged !== quorum.term) throw refusal('pledged to a higher term meanwhile')
    await renewSlot(verb, quorum)
    verb.note({ following: { term: quorum.term, node: quorum.primary }, suspect: false })
  } else {
    await verb.launch() // it can be recruited for a later term, also when its primary never answers
    if (!isFrom(verb, quorum)) await catchUp(verb, quorum)
  }
  verb.disk.key = quorum.primary
  verb.disk.settings.receiveFrom = quorum.primary
  if (verb.server.runs) verb.server.reload()
  else await verb.launch()
  await verb.until(`a stream from ${quorum.primary}`, START_WITHIN_MS, () => isFrom(verb, quorum))
  verb.disk.slots = new Set([quorum.primary, ...quorum.standbys])
}

function isFrom({ server }: Verb, { primary }: QuorumConfig): boolean {
  return server.receiver?.streaming === true && server.receiver.from === primary
}

/**
 * What it lacks may be gone from the primary (trap 23), or a receiver of an older time brought it what the primary does not have:
 * then waiting would never help.
 */
async function catchUp(verb: Verb, quorum: QuorumConfig): Promise<void> {
  const primary = await verb.askPatiently(quorum.primary, START_WITHIN_MS, (server) => factsOf(server, quorum))
  const length = await verb.settledLength()
  const isPart = divergenceOf(verb.disk, length, primary) === null && !lacksLog(length, primary)
  if (isPart) return void (await renewSlot(verb, quorum))
  verb.note({ following: null })
  await prepare(verb, quorum)
  await renewSlot(verb, quorum)
  if (verb.record.pledged !== quorum.term) throw refusal('pledged to a higher term meanwhile')
  verb.note({ following: { term: quorum.term, node: quorum.primary }, suspect: false })
}

function lacksLog(length: number, { disk }: Facts): boolean {
  return length < disk.keptFrom
}

/** One that lost what it held back can never be used again, and none is made for a node that is no standby yet. */
function renewSlot(verb: Verb, quorum: QuorumConfig): Promise<unknown> {
  const { node } = verb.server.parts
  return verb.ask(quorum.primary, (server) => factsOf(server, quorum).disk.slots.add(node))
}

/** Afterwards the WAL here is a part of the primary's. */
async function prepare(verb: Verb, quorum: QuorumConfig): Promise<void> {
  if (verb.disk.hasData) await standStill(verb)
  const primary = await verb.askPatiently(quorum.primary, START_WITHIN_MS, (server) => factsOf(server, quorum))
  if (!verb.disk.hasData) return clone(verb, quorum)
  const length = await verb.settledLength()
  const divergence = divergenceOf(verb.disk, length, primary)
  if (divergence === null) return lacksLog(length, primary) ? clone(verb, quorum) : undefined
  verb.note({ suspect: true })
  // It reads its own WAL back to where the two part.
  const lacksOwn = shared(verb.disk.log, primary.disk.log) < verb.disk.keptFrom
  const fails = verb.disk.ailments.failingRewind || lacksOwn || verb.random() < REWINDS_FAIL
  if (divergence === 'rewind' && !fails) await rewind(verb, quorum)
  else await clone(verb, quorum)
}

/** It runs, whatever becomes of its primary, and does not receive. */
async function standStill(verb: Verb): Promise<void> {
  if (verb.server.runs) await verb.stopReceiving()
  else await verb.launch()
}

interface Facts {
  readonly disk: Disk
  readonly checkpointed: boolean
}

function factsOf(server: DatabaseServer, quorum: QuorumConfig): Facts {
  if (!server.runs || server.inRecovery || server.disk.record.leading?.term !== quorum.term)
    throw refusal(`${quorum.primary} is not primary in term ${quorum.term}`)
  return { disk: server.disk, checkpointed: server.checkpointed }
}

/** Null: what is here is a part of the primary's WAL. */
export function divergenceOf(own: Disk, length: number, { disk: theirs }: Facts): 'rewind' | 'clone' | null {
  const last = own.log[length - 1]
  if (!last) return null
  const end = endOfPromotion(theirs.log, last.promotion)
  if (end !== undefined) return length <= end ? null : 'rewind'
  // A promotion that never became durable. Where its timeline's number was used again, pg_rewind would find nothing to do.
  return endOfTimeline(theirs.log, last.timeline) === undefined ? 'rewind' : 'clone'
}

async function rewind(verb: Verb, quorum: QuorumConfig): Promise<void> {
  // Before the new primary's first checkpoint a rewind looks at the old timeline and does nothing (trap 21).
  for (;;) {
    const { checkpointed } = await verb.ask(quorum.primary, (server) => factsOf(server, quorum))
    if (checkpointed) break
    await verb.pass(20)
  }
  await verb.end('fast', 1_000)
  await verb.pass(REWIND_MS)
  const source = await verb.ask(quorum.primary, (server) => factsOf(server, quorum))
  const { log } = source.disk
  verb.note({ quarantinedUntil: log.length })
  const { disk } = verb
  if (source.checkpointed) {
    disk.log = disk.log.slice(0, shared(disk.log, log))
    disk.soundFrom = log.length
    disk.wasSound = false
    disk.checkpoint = Math.min(disk.checkpoint, disk.log.length)
  }
  verb.server.parts.ledger.rewound(verb.server.parts.node, disk.log.length - shared(disk.log, log))
  await verb.launch()
}

async function clone(verb: Verb, quorum: QuorumConfig): Promise<void> {
  await renewSlot(verb, quorum) // what is written during the clone is held back for it
  const before = await verb.ask(quorum.primary, (server) => factsOf(server, quorum).disk.log.length)
  await verb.pass(CLONE_MS)
  const log = await verb.ask(quorum.primary, (server) => [...factsOf(server, quorum).disk.log])
  if (verb.server.runs) await verb.end('immediate', 0)
  // The record first: data without it would not know what it is.
  verb.note({ quarantinedUntil: log.length, suspect: false })
  Object.assign(verb.disk, {
    log,
    checkpoint: before,
    keptFrom: before,
    soundFrom: 0,
    wasSound: true,
    hasData: true,
    standbySignal: true,
  })
  await verb.launch()
}
