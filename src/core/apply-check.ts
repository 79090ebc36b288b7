/**
 * May this config replace the one that holds? What is checked on the node that was asked, before anything is written. Two clients that
 * change at once are told apart by the number that each read: the second one is refused, whatever it wants.
 */

import { earlierNodes, everyNodeSpeaks, saidIn } from './common-protocol.ts'
import type { RunningFacts, RunningService } from './config-plan.ts'
import { CONFIG_SCHEMA } from './config-record.ts'
import { configRefusals } from './config-refusals.ts'
import type { ClusterSpec, ServiceSpec } from './model.ts'
import type { ChangeOfOptions } from './options-change.ts'
import { PROTOCOL_OF_CHANGES } from './protocol.ts'
import type { ConfigRecord } from './records.ts'
import { placedNodes } from './rollout.ts'
import { missingSecrets, missingSecretsText, secretsSet } from './secrets.ts'
import { instanceOn, leaderOf, nodeState, recordOf, type View } from './view.ts'

export interface Refused {
  readonly code: 'UND_CONFLICT' | 'UND_TOO_OLD' | 'UND_REFUSED'
  /** A sentence for each reason. */
  readonly why: string
}

/** Undefined: those who take part are new enough. `own` is the version of the agent that is asked. */
export function versionRefusal(
  present: ConfigRecord,
  { version, schema }: Pick<ConfigRecord, 'version' | 'schema'>,
  own: string,
): Refused | undefined {
  if (present.schema > CONFIG_SCHEMA || schema > CONFIG_SCHEMA) {
    const newest = present.schema > CONFIG_SCHEMA ? present.version : version
    const why = `this node runs Understudy ${own}, which cannot act on configs of Understudy ${newest}: upgrade the nodes first`
    return { code: 'UND_TOO_OLD', why }
  }
  const newest = isOlder(own, present.version) ? present.version : own
  if (!isOlder(version, newest)) return undefined
  const why = `Understudy ${version} is older than the nodes, which run ${newest}: apply it with Understudy ${newest} or newer`
  return { code: 'UND_TOO_OLD', why }
}

/** Undefined: every node would act on it. `spec`: the config that would hold, when that is what changes. */
export function earlierRefusal(view: View, spec?: ClusterSpec): Refused | undefined {
  if (everyNodeSpeaks(view, PROTOCOL_OF_CHANGES)) return undefined
  const keeps = (node: string) => spec?.nodes.some(({ name }) => name === node) ?? true
  const earlier = earlierNodes(saidIn(view), PROTOCOL_OF_CHANGES, keeps)
  return earlier.length === 0 ? undefined : { code: 'UND_TOO_OLD', why: earlier.join('\n') }
}

/** Undefined: the cluster can become that. */
export function contentRefusal(
  view: View,
  present: ConfigRecord,
  spec: ClusterSpec,
  changeOf: ChangeOfOptions,
): Refused | undefined {
  const missing = missingSecretsText(missingSecrets(spec, secretsSet(view.store.secrets)))
  const refusals = [
    ...configRefusals(present.spec, spec, runningIn(view), changeOf),
    ...(missing === '' ? [] : [missing]),
  ]
  return refusals.length === 0 ? undefined : { code: 'UND_REFUSED', why: refusals.join('\n') }
}

export function conflict({ number, by, message }: ConfigRecord, expect: number): Refused {
  const said = message === '' ? '' : ` (“${message}”)`
  const from = by === '' ? '' : ` by ${by}`
  const why = `config ${number} was applied${from}${said} since config ${expect} was read: look at it and apply again`
  return { code: 'UND_CONFLICT', why }
}

/** By the numbers of `1.2.3`; what has none of them is taken for older than nothing. */
export function isOlder(version: string, than: string): boolean {
  const numbers = (text: string) => /^(\d+)\.(\d+)\.(\d+)/.exec(text)?.slice(1).map(Number)
  const [one, other] = [numbers(version), numbers(than)]
  if (!one || !other) return false
  const at = one.findIndex((number, index) => number !== other[index])
  return at >= 0 && (one[at] ?? 0) < (other[at] ?? 0)
}

/** What runs, by the view of a node. */
export function runningIn(view: View): RunningFacts {
  const { cluster, store } = view
  return {
    services: Object.fromEntries(cluster.services.map((service) => [service.name, runningService(view, service)])),
    alive: cluster.nodes.map(({ name }) => name).filter((node) => nodeState(view, node) === 'alive'),
    leaving: store.config?.leaving ?? [],
  }
}

function runningService(view: View, service: ServiceSpec): RunningService {
  const { name } = service
  const runs = view.cluster.nodes.filter(
    (node) => (instanceOn(view, node.name, name)?.state ?? 'stopped') !== 'stopped',
  )
  const quorum = recordOf(view, name).replica?.quorumConfigs.at(-1)
  return {
    nodes: runs.length > 0 ? runs.map((node) => node.name) : placedNodes(view, service),
    primary: leaderOf(view, service)?.node ?? null,
    wanted: service.instances,
    ...(quorum && { replicas: { nodes: [quorum.primary, ...quorum.standbys], k: quorum.k } }),
  }
}

/** Something of the last change is not done yet, or stopped; `recentMs`: so long an agent may not have noticed it. */
export function isUnderWay(view: View, present: ConfigRecord, isRolling: boolean, recentMs = 10_000): boolean {
  const isRecent = view.wall - present.at < recentMs
  return isRolling || isRecent || present.leaving.length + present.removed.length > 0
}
