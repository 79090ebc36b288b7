/** Is everything as it should be, once nothing is broken any more? What is not, as sentences. */
import type { ServiceSpec } from '../core/model.ts'
import type { Process } from './processes.ts'
import type { World } from './world.ts'

export function unsettled(world: World): string[] {
  const drained = drainedNodes(world)
  return world.cluster.services.flatMap((service) => unsettledOf(world, service, drained))
}

function unsettledOf(world: World, service: ServiceSpec, drained: ReadonlySet<string>): string[] {
  const { name } = service
  const running = [...world.nodes.values()].flatMap((node) =>
    node.processes.all().filter((one) => one.service === name),
  )
  const well = running.filter((process) => world.node(process.node).processes.isWell(process))
  const found: string[] = []
  const ill = running.find((process) => !well.includes(process))
  if (ill) found.push(`${name} on ${ill.node} is not well`)
  const stranded = running.find(({ node }) => drained.has(node))
  if (stranded) found.push(`${name} still runs on ${stranded.node}, which is drained`)
  const usable = world.cluster.nodes.filter((node) => !drained.has(node.name)).length
  const wanted = wantedCount(service, usable)
  if (usable === 0) return found // every node is drained: nobody wants it to run
  if (well.length !== wanted)
    found.push(`${name} has ${well.length} instances that are well, and should have ${wanted}`)
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
    found.push(`${primary.node} leads ${name} in term ${primary.term}, the store says ${lead?.node} in ${lead?.term}`)
  if (record?.switchover) found.push(`a switchover of ${name} is neither done nor called off`)
  return found
}

function wantedCount(service: ServiceSpec, usableNodes: number): number {
  if (service.redundancy === 'active-passive' && service.standby === 'cold') return 1
  return Math.min(service.instances, usableNodes)
}

function drainedNodes(world: World): Set<string> {
  const drained = new Set<string>()
  for (const { name } of world.cluster.nodes) {
    const record = world.store.read().entries.get(`node/${name}`)?.value as { drained?: boolean } | undefined
    if (record?.drained) drained.add(name)
  }
  return drained
}
