import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { cluster, led, peer, view, web, worker } from '../../test/made-up.ts'
import { zonesAreSpread } from './invariants.ts'
import { place, placedOn } from './placement.ts'

const nodesArbitrary = fc
  .uniqueArray(fc.tuple(fc.stringMatching(/^[a-z]{1,4}$/), fc.constantFrom('north', 'south', 'west')), {
    selector: ([name]) => name,
    minLength: 1,
    maxLength: 7,
  })
  .map((pairs) => pairs.map(([name, zone]) => `${name}:${zone}`))

describe('place', () => {
  it('never puts two instances in one zone while another zone has none', () => {
    fc.assert(
      fc.property(nodesArbitrary, fc.integer({ min: 1, max: 7 }), (nodes, instances) => {
        const service = web({ instances })
        expect(zonesAreSpread(cluster([service], nodes), service)).toEqual([])
      }),
    )
  })

  it('moves only what was on a lost node, when every node is a zone of its own', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 7 }),
        fc.integer({ min: 1, max: 6 }),
        fc.nat(6),
        (count, instances, lost) => {
          const { nodes } = cluster([], ['a', 'b', 'c', 'd', 'e', 'f', 'g'].slice(0, count))
          const service = web({ instances })
          const before = place(service, nodes)
          const gone = nodes[lost % count]?.name
          const after = place(
            service,
            nodes.filter(({ name }) => name !== gone),
          )
          expect(before.filter((name) => name !== gone && !after.includes(name))).toEqual([])
        },
      ),
    )
  })

  it('gives each node the same answer whatever the order of the nodes', () => {
    const { nodes } = cluster([], ['a:x', 'b:x', 'c:y', 'd:y'])
    expect(place(web({ instances: 3 }), [...nodes].reverse())).toEqual(place(web({ instances: 3 }), nodes))
  })

  it('keeps the nodes that must stay, and uses only those that the service allows', () => {
    const { nodes } = cluster([], ['a', 'b', 'c', 'd'])
    for (const { name } of nodes) expect(place(web({ instances: 1 }), nodes, [name])).toEqual([name])
    expect(place(web({ instances: 4, nodes: ['b', 'd'] }), nodes).sort()).toEqual(['b', 'd'])
  })
})

describe('placedOn', () => {
  it('leaves a silent node in place until it is lost, because its agent may only be restarting', () => {
    const spec = cluster([web({ instances: 2 })])
    const [first] = place(web({ instances: 2 }), spec.nodes)
    const self = spec.nodes.find(({ name }) => name !== first)?.name ?? ''
    const placed = (state: 'suspect' | 'condemned' | 'lost') =>
      placedOn(
        view({ self, cluster: spec, peers: { [first ?? '']: peer(first ?? '', [], { state }) } }),
        web({ instances: 2 }),
      )
    expect(placed('suspect')).toContain(first)
    expect(placed('condemned')).toContain(first)
    expect(placed('lost')).not.toContain(first)
  })

  it('leaves out drained nodes and keeps the primary where it is', () => {
    const spec = cluster([worker({ instances: 1 })])
    for (const node of ['a', 'b', 'c']) {
      expect(placedOn(view({ cluster: spec, store: led('worker', node, 3) }), worker({ instances: 1 }))).toEqual([node])
    }
    const drained = view({ cluster: spec, store: { ...led('worker', 'b', 3), nodes: { b: { drained: true } } } })
    expect(placedOn(drained, worker({ instances: 3 })).sort()).toEqual(['a', 'c'])
  })
})
