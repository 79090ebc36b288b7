/**
 * Every set of nodes that may be down at the same time, with how likely that is. Regions, zones in them and nodes in those
 * fail by themselves, and each takes along what is in it; so the chance of a set is a product over regions and zones, and
 * it is exact. Sets that are rarer than `LEAST` are not looked at one by one: what they come to together is returned, and
 * counted as the worst.
 */
import type { ClusterSpec, NodeName, NodeSpec } from '../core/model.ts'
import { regionsOf, zonesOf } from './failure.ts'
import { type Rates, unavailability } from './rates.ts'

export interface States {
  readonly sets: readonly { readonly down: readonly NodeName[]; readonly chance: number }[]
  /** The chance of everything that was left out. */
  readonly leftOut: number
}

const LEAST = 1e-12

type Part = readonly { readonly down: readonly NodeName[]; readonly chance: number }[]

export function statesOf(cluster: ClusterSpec, rates: Rates): States {
  const node = unavailability(rates.mtbfNodeMs, rates.mttrNodeMs)
  const zone = unavailability(rates.mtbfZoneMs, rates.mttrZoneMs)
  const region = unavailability(rates.mtbfRegionMs, rates.mttrRegionMs)
  const regions = [...regionsOf(cluster.nodes).values()].map((inRegion) => {
    const zones = [...zonesOf(inRegion).values()].map((inZone) => {
      const nodes = product(
        inZone.map(({ name }) => [
          { down: [], chance: 1 - node },
          { down: [name], chance: node },
        ]),
      )
      return hasZone(inZone) ? orAllDown(nodes, inZone, zone) : nodes
    })
    return hasRegion(inRegion) ? orAllDown(product(zones), inRegion, region) : product(zones)
  })
  const sets = product(regions)
  return { sets, leftOut: Math.max(0, 1 - sets.reduce((sum, { chance }) => sum + chance, 0)) }
}

/** A node without a zone is its own: then there is nothing else that could take it along. */
export function hasZone(nodes: readonly NodeSpec[]): boolean {
  return nodes.length > 1 || nodes[0]?.zone !== nodes[0]?.name
}

export function hasRegion([first]: readonly NodeSpec[]): boolean {
  return first !== undefined && first.region !== 'default'
}

function product(parts: readonly Part[]): Part {
  return parts.reduce<Part>(
    (sets, part) =>
      sets
        .flatMap((one) =>
          part.map((other) => ({ down: [...one.down, ...other.down], chance: one.chance * other.chance })),
        )
        .filter(({ chance }) => chance >= LEAST),
    [{ down: [], chance: 1 }],
  )
}

function orAllDown(part: Part, nodes: readonly NodeSpec[], chance: number): Part {
  const everyone = nodes.map(({ name }) => name)
  const byItself = part.filter(({ down }) => down.length < everyone.length)
  const allAtOnce = part.find(({ down }) => down.length === everyone.length)?.chance ?? 0
  return [
    ...byItself.map((one) => ({ ...one, chance: one.chance * (1 - chance) })),
    { down: everyone, chance: chance + (1 - chance) * allAtOnce },
  ]
}
