import { describe, expect, it } from 'vitest'
import {
  cluster,
  database,
  free,
  led,
  type MadeUp,
  peer,
  running,
  stopped,
  view,
  web,
  worker,
} from '../../test/made-up.ts'
import { decide } from './decide.ts'
import { place } from './placement.ts'
import type { Step } from './step.ts'

const WORKER = cluster([worker()])
const WEB = cluster([web()])
const LEASE = { worker: { term: 3, endsInMs: 1_500 } }

function decided(given: MadeUp) {
  const { problems, acts } = decide(view(given))
  return { rules: problems.map(({ rule }) => rule), acts: acts.map(({ rule, step }) => ({ rule, ...step })) }
}

describe('an active-active service', () => {
  it('is calm when everything runs', () => {
    const peers = { b: peer('b', [running('web')]), c: peer('c', [running('web')]) }
    expect(decided({ cluster: WEB, peers, local: { instances: { web: running('web') } } })).toEqual({
      rules: [],
      acts: [],
    })
  })

  it('starts where it belongs, also without the store', () => {
    const step = { rule: 'instance-missing', kind: 'start', service: 'web', role: 'active', term: 0 }
    expect(decided({ cluster: WEB }).acts).toEqual([step])
    expect(decided({ cluster: WEB, store: { reachable: false, why: 'gone' } }).acts).toEqual([step])
  })

  it('comes back at once after an end that was seen, and with pauses when it ends again and again', () => {
    const ended = (failures: number, retryInMs: number) =>
      decided({
        cluster: WEB,
        local: { instances: { web: stopped('web', { failures, retryInMs, note: 'was killed' }) } },
      })
    expect(ended(1, 0)).toMatchObject({ rules: ['instance-down'], acts: [{ kind: 'start' }] })
    expect(ended(4, 2_000)).toMatchObject({ rules: ['instance-crashing'], acts: [] })
    expect(ended(4, 0)).toMatchObject({ rules: ['instance-crashing'], acts: [{ kind: 'start' }] })
  })

  it('is not believed when it ended again and again and runs once more, until it was well for long enough', () => {
    const once = (given: Parameters<typeof running>[1]) =>
      decided({ cluster: WEB, local: { instances: { web: running('web', given) } } })
    expect(once({ failures: 4, health: 'unknown', stateForMs: 10 })).toMatchObject({
      rules: ['instance-unproven'],
      acts: [],
    })
    expect(once({ failures: 4 })).toMatchObject({ rules: ['instance-unproven'], acts: [] })
    expect(once({ failures: 1 }).rules).toEqual([])
    expect(once({ failures: 0 }).rules).toEqual([])
  })

  it('is killed when it hangs, or is unhealthy for too long, but not a moment earlier', () => {
    const unhealthy = (given: Parameters<typeof running>[1]) =>
      decided({ cluster: WEB, local: { instances: { web: running('web', given) } } }).acts
    expect(unhealthy({ hung: true, health: 'unhealthy' })).toMatchObject([{ rule: 'instance-unhealthy', kind: 'kill' }])
    expect(unhealthy({ health: 'unhealthy', healthForMs: 2_999 })).toEqual([])
    expect(unhealthy({ health: 'unhealthy', healthForMs: 3_000 })).toMatchObject([{ kind: 'kill' }])
    expect(unhealthy({ health: 'unknown', stateForMs: 30_000 })).toMatchObject([{ kind: 'kill' }])
  })

  it('waits for what it needs when it is brought up, and does not when one of it is well', () => {
    const spec = cluster([web(), web({ name: 'shop', needs: ['web'] })])
    const instances = { web: running('web', { health: 'unknown', stateForMs: 10 }) }
    expect(decided({ cluster: spec, local: { instances } }).rules).toContain('needs-not-met')
    const peers = { b: peer('b', [running('shop')]) }
    expect(decided({ cluster: spec, peers, local: { instances } }).acts).toMatchObject([
      { kind: 'start', service: 'shop' },
    ])
  })

  it('ends where it does not belong only when it is well where it does', () => {
    const service = web({ instances: 1 })
    const spec = cluster([service])
    const [home = ''] = place(service, spec.nodes)
    const self = spec.nodes.find(({ name }) => name !== home)?.name ?? ''
    const at = (health: 'healthy' | 'unknown') =>
      decided({
        self,
        cluster: spec,
        peers: { [home]: peer(home, [running('web', { health })]) },
        local: { instances: { web: running('web') } },
      }).acts
    expect(at('unknown')).toEqual([])
    expect(at('healthy')).toMatchObject([{ rule: 'instance-surplus', kind: 'stop' }])
  })

  it('begins nothing new for a service while a step is under way, and is not held up by another service', () => {
    const spec = cluster([web(), web({ name: 'shop' })])
    expect(
      decided({ cluster: spec, local: { busy: { web: { step: 'start' as const, backingOff: false } } } }).acts,
    ).toMatchObject([{ service: 'shop' }])
  })
})

describe('a single writer', () => {
  it('is led by the first in line at once and by the others only after their turn', () => {
    const turns = ['a', 'b', 'c'].map((self) =>
      [0, 150, 300].findIndex(
        (freeForMs) => decided({ self, cluster: WORKER, store: free('worker', null, 0, freeForMs) }).acts.length > 0,
      ),
    )
    expect([...turns].sort()).toEqual([0, 1, 2])
  })

  it('takes the next term over the revision that was read', () => {
    const { acts } = decided({ cluster: WORKER, store: free('worker', 'b', 3, 5_000) })
    expect(acts).toEqual([{ rule: 'primary-lost', kind: 'take-lead', service: 'worker', term: 4, revision: 7 }])
  })

  it('gets no primary while the store is away, there is one, or the node is drained, stopping or backing off', () => {
    const store = free('worker', 'b', 3, 5_000)
    expect(decided({ cluster: WORKER, store: { ...store, reachable: false, why: 'gone' } }).acts).toEqual([])
    expect(decided({ cluster: WORKER, store: led('worker', 'b', 3) }).acts).toEqual([])
    expect(decided({ cluster: WORKER, store: { ...store, nodes: { a: { drained: true } } } }).acts).toEqual([])
    const backingOff = stopped('worker', { failures: 3, retryInMs: 700 })
    expect(decided({ cluster: WORKER, store, local: { instances: { worker: backingOff } } }).acts).toEqual([])
  })

  it('is started by who holds the lead, in its term', () => {
    const { acts } = decided({ cluster: WORKER, store: led('worker', 'a', 3), local: { leases: LEASE } })
    expect(acts).toEqual([{ rule: 'primary-not-started', kind: 'start', service: 'worker', role: 'primary', term: 3 }])
  })

  it('is promoted where a warm standby runs', () => {
    const spec = cluster([worker({ standby: 'warm' })])
    const local = { leases: LEASE, instances: { worker: running('worker', { role: 'standby' }) } }
    expect(decided({ cluster: spec, store: led('worker', 'a', 3), local }).acts).toMatchObject([
      { kind: 'promote', term: 3 },
    ])
  })

  it('gives up the lead as soon as its process is seen to have ended, naming a successor', () => {
    const local = {
      leases: LEASE,
      instances: { worker: stopped('worker', { term: 3, failures: 1, note: 'was killed by SIGKILL' }) },
    }
    const { acts } = decided({ cluster: WORKER, store: led('worker', 'a', 3), local })
    expect(acts).toMatchObject([
      { rule: 'primary-down', kind: 'give-up-lead', term: 3, vacancy: { by: 'a', rule: 'primary-down' } },
    ])
    expect(acts[0]).toHaveProperty('vacancy.successor')
  })

  it('never gives up a lead while anything of the process is left', () => {
    for (const state of ['running', 'starting', 'stopping'] as const) {
      const local = {
        leases: LEASE,
        instances: { worker: running('worker', { role: 'primary', term: 3, state, hung: true }) },
      }
      const store = led('worker', 'a', 3, { switchover: { id: 'x', to: 'b', requestedAt: 1_700_000_000_000 } })
      expect(decided({ cluster: WORKER, store, local }).acts.map(({ kind }) => kind)).not.toContain('give-up-lead')
    }
  })

  it('is killed when it leads without the lead, even while another step is under way', () => {
    const local = {
      instances: { worker: running('worker', { role: 'primary', term: 3 }) },
      busy: { worker: { step: 'stop' as const, backingOff: false } },
    }
    expect(decided({ cluster: WORKER, store: led('worker', 'b', 4), local }).acts).toEqual([
      { rule: 'two-writers', kind: 'kill', service: 'worker' },
    ])
    expect(decided({ cluster: WORKER, store: free('worker', 'a', 3, 0), local }).acts).toMatchObject([{ kind: 'kill' }])
    const rests = { ...local, busy: { worker: { step: 'kill' as const, backingOff: true } } }
    expect(decided({ cluster: WORKER, store: led('worker', 'b', 4), local: rests }).acts).toEqual([])
  })

  it('what is under way is known by its step, not by how its name ends', () => {
    const local = { instances: { worker: running('worker', { role: 'primary', term: 3 }) } }
    for (const step of ['start', 'promote', 'take-lead', null] as const)
      expect(
        decided({
          cluster: WORKER,
          store: led('worker', 'b', 4),
          local: { ...local, busy: { worker: { step, backingOff: true } } },
        }).acts,
      ).toMatchObject([{ kind: 'kill' }])
  })

  it('goes on while the store is away, and ends in order when half of the lease is gone', () => {
    const away = { ...led('worker', 'a', 3), reachable: false, why: 'disk full' }
    const at = (endsInMs: number) =>
      decided({
        cluster: WORKER,
        store: away,
        local: {
          leases: { worker: { term: 3, endsInMs } },
          instances: { worker: running('worker', { role: 'primary', term: 3 }) },
        },
      }).acts
    expect(at(1_500)).toEqual([])
    expect(at(900)).toMatchObject([{ rule: 'lease-ending', kind: 'stop' }])
    expect(at(0)).toMatchObject([{ rule: 'two-writers', kind: 'kill' }])
  })

  it('ends, gives up its lead and leaves when the cluster is stopped', () => {
    const leads = led('worker', 'a', 3)
    const next = (instance: ReturnType<typeof running>, store = leads) =>
      decided({ cluster: WORKER, store, local: { leases: LEASE, instances: { worker: instance }, stopping: true } })
        .acts
    expect(next(running('worker', { role: 'primary', term: 3 }))).toMatchObject([{ kind: 'stop' }])
    expect(next(stopped('worker', { term: 3 }))).toMatchObject([{ kind: 'give-up-lead' }])
    expect(next(stopped('worker', { term: 3 }), free('worker', 'a', 3, 0))).toMatchObject([{ kind: 'exit' }])
  })
})

describe('a database whose cluster is stopped', () => {
  const next = (step: Step['kind'] | null, backingOff = false, instance = running('db', { role: 'standby' })) =>
    decided({
      cluster: cluster([database()]),
      local: { instances: { db: instance }, stopping: true, busy: { db: { step, backingOff } } },
    }).acts

  it('ends at once, also while a step waits for a node that may have ended before', () => {
    for (const step of ['follow', 'start', 'create', 'promote-replica', 'change-quorum'] as const) {
      expect(next(step), step).toEqual([{ rule: 'cluster-stopped', kind: 'stop', service: 'db' }])
      expect(next(step, false, running('db', { state: 'starting' })), step).toMatchObject([{ kind: 'stop' }])
    }
    for (const step of ['follow', 'recruit'] as const) expect(next(step, true)).toMatchObject([{ kind: 'stop' }])
  })

  it('lets an end that is under way come to its end, and rests after one that failed', () => {
    for (const step of ['stop', 'kill', 'demote', 'record', 'recruit'] as const) expect(next(step), step).toEqual([])
    expect(next(null, true)).toEqual([])
  })
})

describe('a switchover', () => {
  const switchover = { id: 'x', to: 'b', requestedAt: 1_700_000_000_000 - 1_000 }
  const asked = led('worker', 'a', 3, { switchover })
  const instances = { worker: running('worker', { role: 'primary', term: 3 }) }
  const ready = { b: peer('b', [stopped('worker')]) }

  it('ends the primary in order, then names the successor', () => {
    expect(
      decided({ cluster: WORKER, store: asked, peers: ready, local: { leases: LEASE, instances } }).acts,
    ).toMatchObject([{ rule: 'switchover-requested', kind: 'stop' }])
    const ended = { worker: stopped('worker', { term: 3 }) }
    expect(decided({ cluster: WORKER, store: asked, local: { leases: LEASE, instances: ended } }).acts).toMatchObject([
      { rule: 'switchover-requested', kind: 'give-up-lead', vacancy: { successor: 'b' } },
    ])
  })

  it('is called off while the old primary still leads, when the target cannot take over any more or it took too long', () => {
    const peers = { b: peer('b', [], { state: 'suspect' }) }
    expect(decided({ cluster: WORKER, store: asked, peers, local: { leases: LEASE, instances } }).acts).toMatchObject([
      { rule: 'switchover-called-off', kind: 'call-off', id: 'x' },
    ])
    const old = led('worker', 'a', 3, { switchover })
    expect(
      decided({
        cluster: WORKER,
        store: { ...old, switchoverForMs: { worker: 60_000 } },
        peers: ready,
        local: { leases: LEASE, instances },
      }).acts,
    ).toMatchObject([{ kind: 'call-off' }])
  })

  it('moves the lead off a drained node, and keeps it when there is nowhere to go', () => {
    const store = { ...led('worker', 'a', 3), nodes: { a: { drained: true } } }
    expect(decided({ cluster: WORKER, store, local: { leases: LEASE, instances } }).acts).toMatchObject([
      { rule: 'node-drained', kind: 'stop' },
    ])
    const peers = { b: peer('b', [], { state: 'lost' }), c: peer('c', [], { state: 'lost' }) }
    const stays = decided({ cluster: WORKER, store, peers, local: { leases: LEASE, instances } })
    expect(stays.acts).toEqual([])
    expect(stays.rules).toContain('node-drained')
  })
})
