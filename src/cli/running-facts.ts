/** What a status says of a cluster that runs, in the words of a plan and of `whatif`. */
import type { Client, Status } from '../client/index.ts'
import type { RunningFacts, RunningService } from '../core/config-plan.ts'
import type { ClusterSpec, ServiceSpec } from '../core/model.ts'
import type { Question } from '../whatif/whatif.ts'
import { whatifRoom } from './lazy-rooms.ts'

export function runningFacts({ services, nodes }: Status): RunningFacts {
  const facts = services.map(({ name, instances, primary, wanted, quorum }): [string, RunningService] => [
    name,
    {
      nodes: instances.filter(({ state }) => state !== 'stopped').map(({ node }) => node),
      primary,
      wanted,
      ...(quorum && primary !== null && { replicas: { nodes: [primary, ...quorum.standbys], k: quorum.k } }),
    },
  ])
  return {
    services: Object.fromEntries(facts),
    alive: nodes.filter(({ alive }) => alive).map(({ name }) => name),
    leaving: nodes.filter(({ leaving }) => leaving),
  }
}

/** For `whatif`: who leads, where replicas are, how many instances are wanted, and what receipts measured. */
export async function runningQuestion(client: Client, spec: ClusterSpec): Promise<Question> {
  const { measuredFrom } = await whatifRoom()
  const [status, receipts] = await Promise.all([client.status(), client.receipts()])
  const inOrder = receipts.toSorted((a, b) => Date.parse(a.noticedAt) - Date.parse(b.noticedAt))
  return { ...placesIn(status, spec), measured: measuredFrom(inOrder) }
}

/**
 * Only what `spec` still has: a service whose replicas would not all stay is placed as at a first start. A number of instances that
 * was asked for since `present` (`resize`) holds as long as `spec` says the same number.
 */
export function placesIn(status: Status, spec: ClusterSpec, present = spec): Question {
  const isNode = (name: string | null): name is string => spec.nodes.some((node) => node.name === name)
  const led = status.services.flatMap(({ name, primary }) => (isNode(primary) ? [[name, primary] as const] : []))
  const replicas = status.services.flatMap(({ name, primary, quorum }) => {
    const nodes = quorum === null ? [] : [primary, ...quorum.standbys]
    return nodes.length > 0 && nodes.every(isNode) ? [[name, nodes] as const] : []
  })
  const services = spec.services.map((service) => {
    const isAsBefore = present.services.find(({ name }) => name === service.name)?.instances === service.instances
    return isAsBefore ? sizedAs(service, status) : service
  })
  return { cluster: { ...spec, services }, primaries: Object.fromEntries(led), replicas: Object.fromEntries(replicas) }
}

function sizedAs(service: ServiceSpec, { services }: Status): ServiceSpec {
  const wanted = services.find(({ name }) => name === service.name)?.wanted
  return wanted === undefined || wanted < 1 ? service : { ...service, instances: wanted }
}
