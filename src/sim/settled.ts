/** Is everything as it should be, once nothing is broken any more? What is not, as sentences. */

import { zonesAreSpread } from '../core/invariants.ts'
import type { ServiceSpec } from '../core/model.ts'
import type { ServiceRecord } from '../core/records.ts'
import { defaultK } from '../core/replicated/quorum.ts'
import { standbysText } from '../core/replicated/quorum-config.ts'
import { serves } from './served.ts'
import { unapplied } from './settled-config.ts'
import type { Process } from './sim-processes.ts'
import type { World } from './sim-world.ts'

export function unsettled(world: World): string[] {
  const drained = drainedNodes(world)
  const services = world.wanted.services.filter(({ stopped }) => !stopped)
  const ofServices = services.flatMap((service) => [
    ...unsettledOf(world, service, drained),
    ...crowdedUnsaid(world, service),
  ])
  return [...ofServices, ...misinformed(world), ...unapplied(world)]
}

/** Placement may have to give up the spread over zones, and never does without saying so. */
function crowdedUnsaid(world: World, service: ServiceSpec): string[] {
  const on = [...world.nodes.values()].filter(({ processes }) => processes.of(service.name)).map(({ name }) => name)
  const isSaid = [...world.nodes.values()].some(({ agent }) =>
    agent?.decision.problems.some((problem) => problem.rule === 'zone-crowded' && problem.service === service.name),
  )
  return isSaid ? [] : zonesAreSpread(world.wanted, service, on).map((sentence) => `${sentence}, and no node says so`)
}

/** Agents that go by what an earlier agent of another node said. */
function misinformed(world: World): string[] {
  return [...world.nodes.values()].flatMap(({ name, agent }) =>
    Object.entries(agent?.view.peers ?? {})
      .filter(([peer, facts]) => facts.report?.agentPid !== world.node(peer).agentPid)
      .map(([peer]) => `${name} has not heard from the present agent of ${peer}`),
  )
}

function unsettledCopies(
  world: World,
  { name, instances, replication }: ServiceSpec,
  drained: ReadonlySet<string>,
): string[] {
  const usable = world.wanted.nodes.filter((node) => !drained.has(node.name)).length
  // With `block` a drained node keeps its replica as long as it is the second one.
  const least = replication?.degrade === 'block' ? Math.min(2, instances) : 1
  const wanted = Math.max(least, Math.min(instances, usable))
  const record = world.store.read().entries.get(`service/${name}`)?.value as ServiceRecord | undefined
  const quorum = record?.replica?.quorumConfigs.at(-1)
  if (!quorum || record?.replica?.phase !== 'serving' || record.replica.quorumConfigs.length > 1)
    return [`${name} does not serve: ${JSON.stringify(record)}`]
  const found: string[] = []
  const ledger = world.ledgerOf(name)
  if (serves(world, name) !== quorum.primary) found.push(`${quorum.primary} acknowledges no writes to ${name}`)
  // Where the config says no number, half of those that there are will do until all that were asked for are in.
  const { k = 0, sync } = replication ?? {}
  const most = Math.min(k, wanted - 1)
  const fewest = sync === undefined ? Math.min(most, defaultK(wanted)) : most
  if (quorum.standbys.length !== wanted - 1 || quorum.k < fewest || quorum.k > most)
    found.push(`synchronous standbys of ${name}: ${standbysText(quorum)}, and ${wanted} replicas are wanted`)
  for (const node of [quorum.primary, ...quorum.standbys]) {
    const server = world.node(node).databases.get(name)
    if (server?.process === null) found.push(`${name} does not run on ${node}`)
    else if (server && node !== quorum.primary && !server.receiver?.streaming)
      found.push(`${name} on ${node} receives nothing`)
  }
  const log = world.node(quorum.primary).databases.get(name)?.disk.log ?? []
  found.push(...ledger.missingOn(quorum.primary, log))
  if (record.switchover) found.push(`a switchover of ${name} is neither done nor called off`)
  return found
}

function unsettledOf(world: World, service: ServiceSpec, drained: ReadonlySet<string>): string[] {
  if (service.traits.replicates) return unsettledCopies(world, service, drained)
  const { name } = service
  const running = [...world.nodes.values()].flatMap((node) =>
    node.processes.all().filter((one) => one.service === name),
  )
  const well = running.filter((process) => world.node(process.node).processes.isHealthy(process))
  const found: string[] = []
  const ill = running.find((process) => !well.includes(process))
  if (ill) found.push(`${name} on ${ill.node} is not healthy`)
  const usable = world.wanted.nodes.filter((node) => !drained.has(node.name)).length
  const wanted = wantedCount(service, usable)
  // Every node is drained: it should run nowhere, and what serves stays, because there is no better place for it.
  if (usable === 0) return found
  const stranded = running.find(({ node }) => drained.has(node))
  if (stranded) found.push(`${name} still runs on ${stranded.node}, which is drained`)
  if (well.length !== wanted) found.push(`${name} has ${well.length} healthy instances, and should have ${wanted}`)
  return service.redundancy === 'active-passive' ? [...found, ...unsettledLead(world, service, well)] : found
}

function unsettledLead(world: World, { name }: ServiceSpec, well: readonly Process[]): string[] {
  const primaries = well.filter(({ role }) => role === 'primary')
  const lead = world.store.read().entries.get(`lead/${name}`)?.value as { node: string; term: number } | undefined
  const record = world.store.read().entries.get(`service/${name}`)?.value as { switchover?: unknown } | undefined
  const found: string[] = []
  if (primaries.length !== 1) found.push(`${name} has ${primaries.length} primaries`)
  const [primary] = primaries
  if (primary && (lead?.node !== primary.node || lead.term !== primary.term))
    found.push(
      `${primary.node} is primary of ${name} in term ${primary.term}, the store says ${lead?.node} in ${lead?.term}`,
    )
  if (record?.switchover) found.push(`a switchover of ${name} is neither done nor called off`)
  return found
}

function wantedCount(service: ServiceSpec, usableNodes: number): number {
  if (service.redundancy === 'active-passive' && service.standby === 'cold') return 1
  return Math.min(service.instances, usableNodes)
}

function drainedNodes(world: World): Set<string> {
  const drained = new Set<string>()
  for (const { name } of world.wanted.nodes) {
    const record = world.store.read().entries.get(`node/${name}`)?.value as { drained?: boolean } | undefined
    if (record?.drained) drained.add(name)
  }
  return drained
}
