/**
 * The config does not name a node any more. It counts as drained: its instances move, its leads are handed over, its replicas
 * leave their quorum. When nothing depends on it, it takes itself off the record and ends; a node that is lost cannot, and is
 * taken off by another.
 */

import type { NodeName } from '../model.ts'
import type { ConfigRecord } from '../records.ts'
import type { Step } from '../step.ts'
import { instanceOn, leadOf, nodeState, recordOf, type View } from '../view.ts'
import type { Finder, Problem } from './problem.ts'
import { isFirst } from './service-end.ts'

export const nodeLeaving: Finder = (view) => {
  if (view.local.stopping) return []
  return (view.config?.leaving ?? []).flatMap((node) => leaves(view, node) ?? [])
}

function leaves(view: View, node: NodeName): Problem | undefined {
  const isOurs = node === view.self
  const isLost = nodeState(view, node) === 'lost'
  if (!isOurs && !(isLost && isFirst(view, (name) => nodeState(view, name) === 'alive'))) return undefined
  const services = [...view.cluster.services, ...(view.config?.removed ?? [])].map(({ name }) => name)
  const holding = services.filter((name) => dependsOn(view, name, node))
  const why = `${node} was taken out of the config`
  const found = (sentence: string, steps: readonly Step[]): Problem => {
    return { rule: 'node-leaving', service: null, evidence: isOurs ? 'first-hand' : 'inferred', why: sentence, steps }
  }
  if (holding.length > 0) return found(`${why} and leaves when it is no longer needed for ${holding.join(', ')}`, [])
  const { config } = view.store
  if (!config || !view.store.reachable) return undefined
  const { revision, ...record } = config
  const without: ConfigRecord = { ...record, leaving: record.leaving.filter(({ name }) => name !== node) }
  const what = isLost
    ? `${node} is lost and was taken out of the config: it is forgotten`
    : `${node} leaves: nothing depends on it`
  // Another node that does not know yet that this one leaves could take it into a quorum at the same moment.
  const given = Object.fromEntries(services.map((name) => [name, recordOf(view, name).revision]))
  return found(what, [{ kind: 'write-config', what, record: without, revision, given, forgets: [] }])
}

function dependsOn(view: View, service: string, node: NodeName): boolean {
  const { replica } = recordOf(view, service)
  if (replica?.quorumConfigs.some(({ primary, standbys }) => primary === node || standbys.includes(node))) return true
  if (leadOf(view, service)?.node === node) return true
  return nodeState(view, node) !== 'lost' && (instanceOn(view, node, service)?.state ?? 'stopped') !== 'stopped'
}
