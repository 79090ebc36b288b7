import { describe, expect, it } from 'vitest'
import { cluster, running, stopped, view, web, worker } from '../../test/made-up.ts'
import { decide } from './decide.ts'
import type { InstanceReport } from './model.ts'
import type { ServiceRecord } from './records.ts'

const NAMES = ['one', 'two', 'three', 'four', 'five']
const SPEC = cluster(NAMES.map((name) => web({ name, endpoints: [] })))

function started(instances: readonly InstanceReport[], busy: Record<string, 'start'> = {}, startsAtOnce = 2): string[] {
  const local = {
    instances: Object.fromEntries(instances.map((one) => [one.service, one])),
    busy: Object.fromEntries(Object.entries(busy).map(([name, step]) => [name, { step, backingOff: false }])),
    startsAtOnce,
  }
  return decide(view({ cluster: SPEC, local })).acts.flatMap(({ step }) =>
    step.kind === 'start' ? [step.service] : [],
  )
}

const beginning = (name: string, given: Partial<InstanceReport> = {}) =>
  running(name, { health: 'unknown', stateForMs: 200, ...given })

describe('starts are spread', () => {
  const all = NAMES.map((name) => stopped(name))
  const but = (...others: InstanceReport[]) => [...others, ...all.slice(others.length)]

  it('no more begin than there are places', () => {
    expect(started(all)).toEqual(['one', 'two'])
    expect(started(all, {}, 1)).toEqual(['one'])
  })

  it('what is being started, or was not checked yet, has a place', () => {
    expect(started(all, { one: 'start' })).toEqual(['two'])
    expect(started(but(beginning('one', { state: 'starting' })))).toEqual(['two'])
    expect(started(but(beginning('one'), beginning('two')))).toEqual([])
  })

  it('what was checked gives its place up, whatever the check said, and so does what takes long', () => {
    expect(started(but(running('one'), beginning('two')))).toEqual(['three'])
    expect(started(but(beginning('one', { health: 'unhealthy' }), beginning('two')))).toEqual(['three'])
    expect(started(but(beginning('one', { stateForMs: 1_500 }), beginning('two')))).toEqual(['three'])
  })

  it('a primary never waits for a place', () => {
    const spec = cluster([...SPEC.services, worker()])
    const local = {
      instances: Object.fromEntries(
        [...but(beginning('one'), beginning('two')), stopped('worker')].map((i) => [i.service, i]),
      ),
      leases: { worker: { term: 3, endsInMs: 1_500 } },
      startsAtOnce: 2,
    }
    const store = {
      services: { worker: { term: 3, primary: 'a', revision: 1 } },
      leads: { worker: { node: 'a', term: 3, lease: 'x' } },
    }
    const { acts } = decide(view({ cluster: spec, local, store }))
    expect(acts.map(({ step }) => step)).toEqual([{ kind: 'start', service: 'worker', role: 'primary', term: 3 }])
  })

  it('the first lead of a service waits for a place, and a lead that was lost does not', () => {
    const spec = cluster([...SPEC.services, worker()])
    const instances = Object.fromEntries([beginning('one'), beginning('two')].map((i) => [i.service, i]))
    const acts = (record: ServiceRecord, startsAtOnce: number) => {
      const store = { services: { worker: { revision: 1, ...record } }, leadFreeForMs: { worker: 9_000 } }
      const { acts } = decide(view({ cluster: spec, local: { instances, startsAtOnce }, store }))
      return acts.filter(({ step }) => step.kind === 'take-lead').length
    }
    const fresh = { term: 0, primary: null }
    expect([acts(fresh, 2), acts(fresh, 3)]).toEqual([0, 1])
    expect(acts({ term: 3, primary: 'b' }, 2)).toBe(1)
    const vacancy = { rule: 'cluster-stopped', why: '', by: 'b', noticedAt: 0 } as const
    expect(acts({ term: 3, primary: 'b', vacancy }, 2)).toBe(0)
  })
})
