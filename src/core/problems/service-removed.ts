/**
 * The config does not name a service any more. Each node ends what runs of it, sets its data aside, and lets go; when every
 * node has, one of them takes its records out of the store, so that a service of the same name can begin anew.
 */

import type { ServiceSpec } from '../model.ts'
import type { ConfigRecord } from '../records.ts'
import type { Step } from '../step.ts'
import { instanceOn, nodeState, type View } from '../view.ts'
import type { Finder, Problem } from './problem.ts'
import { endOf } from './service-end.ts'

export const serviceRemoved: Finder = (view) => {
  if (view.local.stopping) return []
  return (view.config?.removed ?? []).flatMap((service) => onThisNode(view, service) ?? everywhere(view, service) ?? [])
}

function onThisNode(view: View, { name }: ServiceSpec): Problem | undefined {
  if (view.local.instances[name] === undefined) return undefined
  const reason = `${name} was taken out of the config`
  const ending = endOf(view, name, 'service-removed', reason)
  if (ending) return ending
  const steps: Step[] = [{ kind: 'retire', service: name }]
  return {
    rule: 'service-removed',
    service: name,
    evidence: 'first-hand',
    why: `${reason}: nothing of it runs on ${view.self}`,
    steps,
    told: 'not',
  }
}

function everywhere(view: View, service: ServiceSpec): Problem | undefined {
  const { name } = service
  const { config } = view.store
  const isListed = config?.removed.some((one) => one.name === name)
  if (!config || !isListed || !view.store.reachable) return undefined
  if (!view.cluster.nodes.every(({ name: node }) => isClearOf(view, node, service, config.number))) return undefined
  const { revision, ...record } = config
  const without: ConfigRecord = { ...record, removed: record.removed.filter((one) => one.name !== name) }
  const what = `${name} is removed: nothing of it is left on any node`
  const steps: Step[] = [{ kind: 'write-config', what, record: without, revision, given: {}, forgets: [name] }]
  return { rule: 'service-removed', service: null, evidence: 'inferred', why: what, steps, told: 'by-actor' }
}

/**
 * What a lost node runs ends when its agent is back: it compares the newest config with the one that it acted on before
 * (agent/live-config.ts). Data that it keeps is waited for: a new service of the same name must not come upon it.
 */
function isClearOf(view: View, node: string, { name, traits }: ServiceSpec, number: number): boolean {
  if (node === view.self) return true // `onThisNode` saw to it
  const state = nodeState(view, node)
  if (state === 'lost') return !traits.replicates
  // A report from before it knew says nothing: it may start the service a moment later.
  const knows = (view.peers[node]?.report?.config ?? 0) >= number
  return state === 'alive' && knows && instanceOn(view, node, name) === undefined
}
