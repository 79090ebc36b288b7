/**
 * Promotion by the simulated driver: the setting in force first, then promotion, then the quorum row, and only then are
 * clients admitted.
 */

import type { QuorumConfig } from '../../core/replicated/quorum-config.ts'
import { refusal } from '../../drivers/driver-refusal.ts'
import { mayReceive } from './disk.ts'
import type { Verb } from './driver-verbs.ts'

const PROMOTE_WITHIN_MS = 20_000

/** Also a repetition after a crash half way, and a restart in place. The caller writes the quorum row. */
export async function promoteReplica(verb: Verb, quorum: QuorumConfig): Promise<void> {
  const { pledged, leading, quarantinedUntil } = verb.record
  const again = leading?.id === quorum.id
  if (quorum.primary !== verb.server.parts.node) throw refusal(`that quorum config is for ${quorum.primary}`)
  if (pledged > quorum.term) throw refusal(`pledged to term ${pledged}`)
  if (!again && (pledged !== quorum.term || mayReceive(verb.record) || leading !== null))
    throw refusal(`not recruited for term ${quorum.term}`)
  if (!again && quarantinedUntil !== null) throw refusal('it was rewound or cloned and has not caught up')
  setQuorum(verb, again && leading ? leading : quorum)
  const starts = !verb.server.runs
  await verb.launch()
  if (!verb.server.inRecovery) {
    if (starts) await untilTheyWait(verb)
    return verb.server.reload()
  }
  if (verb.server.receiver) await verb.stopReceiving()
  await verb.settledLength()
  verb.note({ leading: again && leading ? leading : quorum, suspect: false })
  verb.disk.slots = new Set([...verb.disk.slots, ...quorum.standbys])
  verb.server.reload()
  verb.server.promote(quorum)
  await verb.until('promotion', PROMOTE_WITHIN_MS, () => {
    if (!verb.server.runs) throw refusal('the server ended while it was promoted')
    verb.server.replay.resume() // queries that are in the way are ended
    return !verb.server.inRecovery
  })
}

/** Right after a start no commit waits for a quorum yet; when a checkpoint is done, all do (trap 11). */
async function untilTheyWait(verb: Verb): Promise<void> {
  const { server } = verb
  const before = server.checkpoints
  server.checkpoint()
  await verb.until('a checkpoint', PROMOTE_WITHIN_MS, () => {
    if (!server.runs) throw refusal('the server ended before its first checkpoint')
    return server.checkpoints !== before
  })
}

export function setQuorum({ disk }: Verb, { standbys, k }: Pick<QuorumConfig, 'standbys' | 'k'>): void {
  Object.assign(disk.settings, { standbys, k })
}

/** The first replica, out of nothing. */
export async function create(verb: Verb, quorum: QuorumConfig): Promise<void> {
  const { disk, server } = verb
  if (verb.record.leading?.id === quorum.id && disk.hasData) return promoteReplica(verb, quorum)
  if (disk.hasData) throw refusal('there is a database already')
  if (verb.record.pledged > quorum.term) throw refusal(`pledged to term ${verb.record.pledged}`)
  await verb.pass(100)
  const begin = { index: 0, term: quorum.term, promotion: quorum.id, timeline: 1, kind: 'begin' as const }
  Object.assign(disk, { hasData: true, log: [begin], checkpoint: 0, standbySignal: false })
  verb.note({ pledged: quorum.term, leading: quorum, following: null })
  setQuorum(verb, quorum)
  await verb.launch()
  server.reload()
}

/**
 * The setting first: what is acknowledged from here on is safe under the new quorum. The quorum row makes what came
 * before so.
 */
export async function changeQuorum(verb: Verb, to: QuorumConfig): Promise<void> {
  const { leading, pledged } = verb.record
  if (leading?.term !== to.term || leading.id !== to.id) throw refusal(`it is not primary in term ${to.term}`)
  if (pledged > to.term) throw refusal(`pledged to term ${pledged}`)
  if (!verb.server.runs || verb.server.inRecovery) throw refusal('it does not run as a primary')
  verb.note({ leading: to })
  for (const node of to.standbys) verb.disk.slots.add(node)
  setQuorum(verb, to)
  verb.server.reload()
  await verb.pass(2)
}

/**
 * The files are brought in line with the record first: a standby receives from the primary that it may follow, or from
 * none.
 */
export async function startStandby(verb: Verb): Promise<void> {
  const { following } = verb.record
  if (!verb.disk.hasData) throw refusal('there is no data here')
  verb.disk.standbySignal = true
  const from = mayReceive(verb.record) ? (following?.node ?? null) : null
  verb.disk.settings.receiveFrom = from
  verb.disk.key = from
  await verb.launch()
}
