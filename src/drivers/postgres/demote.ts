/**
 * Ends leading on purpose. A clean shutdown lets the standbys have everything, the shutdown record included, so that the
 * former primary has nothing of its own afterwards and follows without a rewind. When standbys do not take it in time, the
 * server is ended anyway: what was acknowledged is on the quorum, and the rest was promised to nobody.
 */
import type { Term } from '../../core/model.ts'
import { pledge } from './fence.ts'
import type { Member } from './member.ts'

export async function demote(member: Member, term: Term): Promise<void> {
  const leads = member.record.leading !== null
  if (leads && member.runs && !member.postmaster?.isFrozen) {
    // Most of what a shutdown has to write is written while people can still work.
    await member.session.query('checkpoint', [], member.parts.options.timing.demoteMs).catch(() => {})
  }
  const led = pledge(member, term)
  if (led) await member.end('fast', member.parts.options.timing.demoteMs, `demoted for term ${term}`)
}
