/**
 * How long a replicated service would be unavailable if its primary failed now. An estimate for status; no decision
 * depends on it. The variable part is how much the best standby still has to replay before it can be promoted; what is
 * added to that was measured (docs/performance.md): noticing, recruiting, promoting and the first confirmed write.
 */

import type { Candidate } from '../election.ts'
import type { NodeName, ServiceSpec } from '../model.ts'
import type { View } from '../view.ts'
import { candidatesIn } from './candidates.ts'
import { couldBeat, newestConfig, replicaOn, replicatedRecord } from './replica-facts.ts'

export interface ExpectedRto {
  readonly ifPrimaryDiesMs: number | null
  readonly ifNodeIsLostMs: number | null
  readonly why: string
}

/** From a death that was seen to the first confirmed write, on a machine with something else to do. */
export const TAKEOVER_MS = 400
/** Replay is done by one process; what it manages depends on what was written. A careful figure for small random updates. */
const REPLAY_BYTES_PER_MS = 16_000

/** Undefined for services that have no replicas, or none yet. */
export function expectedRto(view: View, service: ServiceSpec): ExpectedRto | undefined {
  const record = service.traits.replicates ? replicatedRecord(view, service) : undefined
  if (!record) return undefined
  const { best, why } = takeover(view, service)
  if (best === undefined) return { ifPrimaryDiesMs: null, ifNodeIsLostMs: null, why }
  const lagBytes = replicaOn(view, best, service)?.replayLagBytes ?? 0
  const takeoverMs = TAKEOVER_MS + Math.round(lagBytes / REPLAY_BYTES_PER_MS)
  const { suspectCeilingMs, heartbeatMs } = view.cluster.timing
  const silenceMs = suspectCeilingMs + heartbeatMs
  return {
    ifPrimaryDiesMs: takeoverMs,
    ifNodeIsLostMs: takeoverMs + silenceMs,
    why: `${best} would take over, with ${lagBytes} bytes to replay; silence is believed after ${silenceMs} ms`,
  }
}

/** Which standby would take over if the primary failed now; without `best`, why none could. */
export function takeover(view: View, service: ServiceSpec): { readonly best?: NodeName; readonly why: string } {
  const record = replicatedRecord(view, service)
  if (!record) return { why: 'there is no primary yet' }
  if (!view.store.reachable) return { why: `no failover is possible without the store: ${view.store.why}` }
  const standbys = candidatesIn(view, service)
  const best = standbys.find(({ able }) => able)?.node
  if (best === undefined) return { why: withReasons('no failover possible', standbys) }
  if (couldBeat(view, service, record.replica.quorumConfigs, newestConfig(record).primary)) return { best, why: '' }
  const away = standbys.filter(({ able }) => !able)
  return { why: withReasons('no failover possible: quorum unreachable', away) }
}

function withReasons(sentence: string, standbys: readonly Candidate[]): string {
  const reasons = standbys.map(({ node, why }) => `${node}: ${why}`).join('; ')
  return reasons === '' ? sentence : `${sentence} (${reasons})`
}
