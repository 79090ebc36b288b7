import { describe, expect, it } from 'vitest'
import type { Status } from './api-types.ts'
import { closedEndpoints, isUp } from './closed-endpoints.ts'
import { fakeStatus } from './fake-surface.ts'

function withBalancerClosed(at: string, alive = true): Status {
  const status = fakeStatus()
  return {
    ...status,
    nodes: status.nodes.map((node) => (node.name === at ? { ...node, alive } : node)),
    services: status.services.map((service) => ({
      ...service,
      endpoints: service.endpoints.map((endpoint) => (endpoint.node === at ? { ...endpoint, open: false } : endpoint)),
    })),
  }
}

function web(status: Status): Status['services'][number] {
  const service = status.services.find(({ name }) => name === 'web')
  if (!service) throw new Error('there is no web')
  return service
}

describe('doors', () => {
  it('a healthy service with every endpoint open is up', () => {
    expect(isUp(fakeStatus(), web(fakeStatus()))).toBe(true)
  })

  it('a closed endpoint of a living node is one at which clients are refused', () => {
    const status = withBalancerClosed('b')
    expect(closedEndpoints(status, web(status)).map(({ node }) => node)).toEqual(['b'])
    expect(isUp(status, web(status))).toBe(false)
  })

  it('the endpoint of a node that is gone does not count', () => {
    const status = withBalancerClosed('b', false)
    expect(isUp(status, web(status))).toBe(true)
  })
})
