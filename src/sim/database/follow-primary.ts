/**
 * How a made-up copy comes under a primary. It asks the primary before it receives anything: timelines have numbers and
 * numbers repeat (trap 20), so what counts is whether the promotion that wrote its last entry is one that the primary knows.
 */
import type { QuorumConfig } from '../../core/replicated/quorum-config.ts'
import type { DatabaseServer } from './database-server.ts'
import type { Disk } from './disk.ts'
import { mayReceive } from './disk.ts'
import { refusal, START_WITHIN_MS, type Verb } from './driver-verbs.ts'
import { leadsStill, pledge } from './recruit-replica.ts'
import { endOfPromotion, endOfTimeline, shared } from './wal-model.ts'

const REWIND_MS = 200
const CLONE_MS = 300
const REWINDS_FAIL = 0.1

export async function follow(verb: Verb, rule: QuorumConfig): Promise<void> {
  const { following, pledged } = verb.record
  const already = following?.term === rule.term && following.node === rule.primary && pledged <= rule.term
  if (!already) {
    if (following?.term === rule.term && mayReceive(verb.record)) verb.note({ following: null })
    const led = pledge(verb, rule.term)
    if (led || leadsStill(verb) || verb.server.isFrozen) await verb.end('immediate', 0)
    verb.disk.standbySignal = true
    Object.assign(verb.disk.settings, { receiveFrom: null })
    await prepare(verb, rule)
    if (verb.record.pledged !== rule.term) throw refusal('pledged to a higher term meanwhile')
    await renewSlot(verb, rule)
    verb.note({ following: { term: rule.term, node: rule.primary }, suspect: false })
  } else if (!isFrom(verb, rule)) await catchUp(verb, rule)
  verb.disk.key = rule.primary
  verb.disk.settings.receiveFrom = rule.primary
  if (verb.server.runs) verb.server.reload()
  else await verb.launch()
  await verb.until(`a stream from ${rule.primary}`, START_WITHIN_MS, () => isFrom(verb, rule))
  verb.disk.slots = new Set([rule.primary, ...rule.members])
}

function isFrom({ server }: Verb, { primary }: QuorumConfig): boolean {
  return server.receiver?.streaming === true && server.receiver.from === primary
}

/**
 * What it lacks may be gone from the primary (trap 23), or a receiver of an older time brought it what the primary does not have:
 * then waiting would never help.
 */
async function catchUp(verb: Verb, rule: QuorumConfig): Promise<void> {
  const primary = await verb.askPatiently(rule.primary, START_WITHIN_MS, (server) => factsOf(server, rule))
  if (!verb.server.runs) await verb.launch()
  const length = await verb.settledLength()
  const isPart = divergenceOf(verb.disk, length, primary) === null && !lacksLog(length, primary)
  if (isPart) return void (await renewSlot(verb, rule))
  verb.note({ following: null })
  await prepare(verb, rule)
  await renewSlot(verb, rule)
  if (verb.record.pledged !== rule.term) throw refusal('pledged to a higher term meanwhile')
  verb.note({ following: { term: rule.term, node: rule.primary }, suspect: false })
}

function lacksLog(length: number, { disk }: Facts): boolean {
  return length < disk.keptFrom
}

/** One that lost what it held back can never be used again, and nobody makes one for who is no member yet. */
function renewSlot(verb: Verb, rule: QuorumConfig): Promise<unknown> {
  const { node } = verb.server.parts
  return verb.ask(rule.primary, (server) => factsOf(server, rule).disk.slots.add(node))
}

/** Afterwards the log here is a part of the primary's. */
async function prepare(verb: Verb, rule: QuorumConfig): Promise<void> {
  const primary = await verb.askPatiently(rule.primary, START_WITHIN_MS, (server) => factsOf(server, rule))
  if (!verb.disk.hasData) return clone(verb, rule)
  if (verb.server.runs) await verb.stopReceiving()
  else await verb.launch()
  const length = await verb.settledLength()
  const divergence = divergenceOf(verb.disk, length, primary)
  if (divergence === null) return lacksLog(length, primary) ? clone(verb, rule) : undefined
  verb.note({ suspect: true })
  // It reads its own log back to where the two part.
  const lacksOwn = shared(verb.disk.log, primary.disk.log) < verb.disk.keptFrom
  const fails = verb.disk.ailments.failingRewind || lacksOwn || verb.random() < REWINDS_FAIL
  if (divergence === 'rewind' && !fails) await rewind(verb, rule)
  else await clone(verb, rule)
}

interface Facts {
  readonly disk: Disk
  readonly checkpointed: boolean
}

function factsOf(server: DatabaseServer, rule: QuorumConfig): Facts {
  if (!server.runs || server.inRecovery || server.disk.record.leading?.term !== rule.term)
    throw refusal(`${rule.primary} is not primary in term ${rule.term}`)
  return { disk: server.disk, checkpointed: server.checkpointed }
}

/** Null: what is here is a part of the primary's log. */
export function divergenceOf(own: Disk, length: number, { disk: theirs }: Facts): 'rewind' | 'clone' | null {
  const last = own.log[length - 1]
  if (!last) return null
  const end = endOfPromotion(theirs.log, last.promotion)
  if (end !== undefined) return length <= end ? null : 'rewind'
  // A promotion that never became durable. Where its timeline's number was used again, pg_rewind would find nothing to do.
  return endOfTimeline(theirs.log, last.timeline) === undefined ? 'rewind' : 'clone'
}

async function rewind(verb: Verb, rule: QuorumConfig): Promise<void> {
  // Before the new primary's first checkpoint a rewind looks at the old timeline and does nothing (trap 21).
  for (;;) {
    const { checkpointed } = await verb.ask(rule.primary, (server) => factsOf(server, rule))
    if (checkpointed) break
    await verb.pass(20)
  }
  await verb.end('fast', 1_000)
  await verb.pass(REWIND_MS)
  const source = await verb.ask(rule.primary, (server) => factsOf(server, rule))
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

async function clone(verb: Verb, rule: QuorumConfig): Promise<void> {
  await renewSlot(verb, rule) // what is written during the copy is held back for it
  const before = await verb.ask(rule.primary, (server) => factsOf(server, rule).disk.log.length)
  await verb.pass(CLONE_MS)
  const log = await verb.ask(rule.primary, (server) => [...factsOf(server, rule).disk.log])
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
