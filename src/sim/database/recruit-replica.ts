/** The made-up driver's fence, in the order of the real one: pledge, receive nothing, make sure of it, then the position. */

import type { Term } from '../../core/model.ts'
import type { Position } from '../../core/replicated/quorum-config.ts'
import { refusal } from '../../drivers/driver-refusal.ts'
import { mayReceive } from './disk.ts'
import type { Verb } from './driver-verbs.ts'

export async function recruit(verb: Verb, term: Term): Promise<Position | null> {
  const led = pledge(verb, term)
  if (!verb.disk.hasData) return null
  if (led || leadsStill(verb) || verb.server.isFrozen) await verb.end('immediate', 0)
  if (verb.server.runs) await verb.stopReceiving()
  else {
    verb.disk.settings.receiveFrom = null
    verb.disk.standbySignal = true
    await verb.launch()
  }
  return verb.settledPosition()
}

/** A verb that was called off may have written the pledge down and not ended what led. */
export function leadsStill({ server }: Verb): boolean {
  return server.runs && !server.inRecovery
}

const DRAIN_WITHIN_MS = 300

/** Lets transactions end while clients work on, then lets none begin. Refuses when one does not end, and nothing has happened. */
export async function drain(verb: Verb): Promise<void> {
  const { server } = verb
  if (server.isFrozen) return
  await verb.until('the end of every transaction', DRAIN_WITHIN_MS, () => !server.hasOpenTransaction)
  server.draining = true
}

/** Written down; true when it led until now. */
export function pledge(verb: Verb, term: Term): boolean {
  const { pledged, following, leading, suspect } = verb.record
  if (term < pledged) throw refusal(`pledged to term ${pledged}, which is higher than ${term}`)
  if (mayReceive(verb.record) && following?.term === term) throw refusal(`it follows in term ${term} already`)
  if (leading !== null && leading.term >= term) throw refusal(`it is primary in term ${leading.term}`)
  verb.disk.key = null
  verb.note({ pledged: term, following: null, leading: null, suspect: suspect || leading !== null })
  return leading !== null
}
