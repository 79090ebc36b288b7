/**
 * Ends leading on purpose. A checkpoint first, while people can still work, because a shutdown has to write all that is dirty;
 * then sessions are let go (drain.ts), which may fail and then nothing has happened; then the pledge, after which there is no
 * way back; then the end.
 *
 * A clean shutdown lets the standbys have everything, the shutdown record included, so that the former primary has nothing of
 * its own afterwards and follows without a rewind. When standbys do not take it in time, the server is ended anyway: what was
 * acknowledged is on the quorum, and the rest was promised to nobody.
 */
import type { Term } from '../../core/model.ts'
import { drain } from './drain.ts'
import { pledge } from './fence.ts'
import type { Member } from './member.ts'

export interface Steps {
  /** From here on nothing new should come. */
  stopping(): void
  /** Have all front doors heard of it? */
  doorsHeard(): boolean
  /** From here on there is no way back. */
  ending(): void
}

export async function demote(member: Member, term: Term, steps: Steps, signal: AbortSignal) {
  const leads = member.record.leading !== null
  const { demoteMs } = member.parts.options.timing
  if (leads && member.runs && !member.postmaster?.isFrozen) {
    await member.session.query('checkpoint', [], demoteMs).catch(() => {}) // the shutdown makes another one
    signal.throwIfAborted()
    steps.stopping()
    await drain(member, () => steps.doorsHeard(), signal)
  }
  steps.ending()
  const led = pledge(member, term)
  if (led) await member.end('fast', demoteMs, `demoted for term ${term}`)
}
