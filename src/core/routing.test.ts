import { expect, test } from 'vitest'
import { cluster, peer, running, view, web } from '../../test/made-up.ts'
import { routesFor } from './routing.ts'

const SPEC = cluster([web(), web({ name: 'api', endpoints: [{ purpose: 'serving', protocol: 'http', port: 8081 }] })])

function seen(given: Parameters<typeof running>[1] = {}) {
  const far = [running('web', { pid: 7, ...given }), running('api', { pid: 8 })]
  return view({ cluster: SPEC, local: { instances: { web: running('web') } }, peers: { b: peer('b', far) } })
}

test('the last answer is given back as long as it holds, whatever the ages are', () => {
  const first = routesFor(seen())
  expect(first.map(({ targets }) => targets.map(({ id }) => id))).toEqual([['web@a:100', 'web@b:7'], ['api@b:8']])
  expect(routesFor(seen({ healthForMs: 1, stateForMs: 1 }), first)).toBe(first)
})

test.each([{ health: 'unhealthy' }, { pid: 9 }, { term: 2 }, { port: 1 }] as const)(
  'what is different about a target makes another answer: %j',
  (given) => {
    const first = routesFor(seen())
    const next = routesFor(seen(given), first)
    expect(next).not.toBe(first)
    expect(next).toEqual(routesFor(seen(given)))
    expect(next[1]).toBe(first[1])
  },
)

test('a target that is gone makes another answer', () => {
  const first = routesFor(seen())
  const next = routesFor(view({ cluster: SPEC, local: { instances: { web: running('web') } } }), first)
  expect(next.map(({ targets }) => targets.length)).toEqual([1, 0])
})

test('what comes for a service that an operator stopped is not held: no instance comes until it is started', () => {
  const services = SPEC.services.map((one) => (one.name === 'web' ? { ...one, stopped: true as const } : one))
  const before = routesFor(seen()).map(({ holdMs }) => holdMs)
  expect(before[0]).toBeGreaterThan(0)
  expect(routesFor({ ...seen(), cluster: { ...SPEC, services } }).map(({ holdMs }) => holdMs)).toEqual([0, before[1]])
})
