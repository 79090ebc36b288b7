/** What a change of the config comes to: a table of changes, and what cannot be done in one step. */
import { describe, expect, it } from 'vitest'
import { cluster, database, web, worker } from '../../test/made-up.ts'
import { changeOfOptions } from '../drivers/options-changes.ts'
import { POSTGRES_DEFAULTS } from '../drivers/postgres/options.ts'
import { isEmptyPlan, planChange, type RunningFacts } from './config-plan.ts'
import { configRefusals } from './config-refusals.ts'
import type { ClusterSpec, ServiceSpec } from './model.ts'

const webOptions = {
  run: 'node web.js',
  cwd: '/app',
  env: { A: '1', KEY: 'old' },
  user: null,
  limits: {},
  port: null,
  health: { http: '/', exec: null },
}
const site = web({ options: webOptions })
const job = worker({ options: { ...webOptions, health: { http: null, exec: null } } })
const db = database({ options: POSTGRES_DEFAULTS })
const before = cluster([site, job, db])

const running: RunningFacts = {
  services: {
    web: { nodes: ['a', 'b', 'c'], primary: null, wanted: 3 },
    worker: { nodes: ['b'], primary: 'b', wanted: 2 },
    db: { nodes: ['a', 'b', 'c'], primary: 'c', wanted: 3, replicas: { nodes: ['c', 'a', 'b'], k: 1 } },
  },
  alive: ['a', 'b', 'c'],
  leaving: [],
}

const withWeb = (given: Partial<ServiceSpec>) => cluster([{ ...site, ...given }, job, db])
const withDb = (options: object, given: Partial<ServiceSpec> = {}) =>
  cluster([site, job, { ...db, ...given, options: { ...POSTGRES_DEFAULTS, ...options } }])

function plan(after: ClusterSpec, facts = running, from = before) {
  return planChange(from, after, facts, changeOfOptions)
}

function planOf(service: string, after: ClusterSpec, facts = running, from = before) {
  const found = plan(after, facts, from).services.find((one) => one.service === service)
  const instances = found?.instances.map(
    ({ node, change, to }) => `${node} ${change}${to === undefined ? '' : ` ${to}`}`,
  )
  return { change: found?.change, what: found?.what, instances }
}

describe('a plan', () => {
  it('is empty for a config that says the same', () => {
    expect(isEmptyPlan(plan(structuredClone(before)))).toBe(true)
  })

  it.each([
    [
      'its environment',
      { options: { ...webOptions, env: { A: '1', KEY: 'new', B: '2' } } },
      'restart',
      'environment (KEY, B)',
    ],
    ['its command', { options: { ...webOptions, run: 'node other.js' } }, 'restart', 'command'],
    ['its own port', { options: { ...webOptions, port: 3000 } }, 'restart', 'port'],
    ['its health check', { options: { ...webOptions, health: { http: '/ok', exec: null } } }, 'reload', 'health check'],
    ['its timing', { timing: { ...site.timing, graceMs: 5_000 } }, 'reload', 'timing.graceMs 10000 → 5000'],
    [
      'what clients connect to',
      { endpoints: [{ purpose: 'serving', protocol: 'http', port: 9090 }] },
      'reload',
      'endpoints changed',
    ],
    ['how it is updated', { update: { atOnce: 2, pauseMs: 1_000, onFailure: 'stop' } }, 'reload', 'update changed'],
    ['how many there are', { instances: 2 }, 'instances', 'instances 3 → 2'],
  ] as const)('of a service that changes %s', (_, given, change, what) => {
    expect(planOf('web', withWeb(given as Partial<ServiceSpec>))).toMatchObject({ change, what: [what] })
    expect(plan(withWeb(given as Partial<ServiceSpec>)).services.find(({ service }) => service === 'db')?.change).toBe(
      'nothing',
    )
  })

  it('shows the names of variables and never what is in them', () => {
    const env = { A: '1', KEY: 'hunter2' }
    expect(JSON.stringify(plan(withWeb({ options: { ...webOptions, env } })))).not.toMatch(/hunter2|old/)
  })

  it('restarts standbys before a primary, which moves first', () => {
    const { change, instances } = planOf('db', withDb({ settings: { max_connections: 300 } }))
    expect([change, instances]).toEqual(['restart', ['a restart', 'b restart', 'c switchover-restart']])
  })

  it.each([
    ['work_mem', '8MB', 'reload'],
    ['max_wal_senders', 20, 'restart'],
    ['Max_Connections', 300, 'restart'],
    ['shared_preload_libraries', 'x', 'restart'],
    ['pg_stat_statements.max', 100, 'reload-or-restart'],
  ])('knows whether PostgreSQL takes %s by a reload', (name, value, change) => {
    expect(planOf('db', withDb({ settings: { [name]: value } }))).toMatchObject({ change, what: [name] })
  })

  it('says that what is read at the first start only changes nothing', () => {
    const bootstrap = { ...POSTGRES_DEFAULTS.bootstrap, database: 'shop' }
    const { what, instances } = planOf('db', withDb({ bootstrap }))
    expect([what, instances]).toEqual([
      ['bootstrap (read at the first start only)'],
      ['a nothing', 'b nothing', 'c nothing'],
    ])
  })

  it('names new and removed services and nodes, and what moves', () => {
    const after = cluster([site, web({ name: 'api', instances: 1 }), db], ['a', 'b', 'd'])
    const { nodes, services } = plan({ ...after, nodes: after.nodes.map((node) => node) })
    expect(nodes).toEqual([
      { node: 'd', change: 'new' },
      { node: 'c', change: 'removed' },
    ])
    expect(services.map(({ service, change }) => `${service} ${change}`)).toEqual([
      'web instances',
      'api new',
      'db instances',
      'worker removed',
    ])
    expect(planOf('web', after).instances).toEqual(['a nothing', 'b nothing', 'c moves d'])
    expect(planOf('worker', after).instances).toEqual(['b ends'])
  })

  it('keeps a number of instances that was asked for since, unless the config says another one', () => {
    const facts = { ...running, services: { ...running.services, web: { nodes: ['a'], primary: null, wanted: 1 } } }
    expect(planOf('web', structuredClone(before), facts).change).toBe('nothing')
    expect(planOf('web', withWeb({ instances: 2 }), facts).instances).toHaveLength(2)
  })
})

const refusals = (after: ClusterSpec, facts = running, from = before) =>
  configRefusals(from, after, facts, changeOfOptions)

describe('what a cluster cannot become in one step', () => {
  it('refuses nothing of a config that says the same', () => expect(refusals(before)).toEqual([]))

  const moved = {
    ...before,
    nodes: before.nodes.map((node) => (node.name === 'b' ? { ...node, address: '127.0.0.99' } : node)),
  }
  it.each([
    [
      'another name',
      { ...before, name: 'other' },
      'the cluster is called test, not other: start it as another cluster',
    ],
    [
      'another store',
      { ...before, store: { kind: 'embedded' } },
      'the store cannot be changed from memory to embedded',
    ],
    ['another API port', { ...before, apiPort: 7500 }, 'run “understudy down”, then “understudy up”'],
    [
      'another address of a node that stays',
      moved,
      "the address of b cannot be changed from 127.0.0.12 to 127.0.0.99: write address: '127.0.0.12'",
    ],
    ['other nodes only', cluster([site], ['x', 'y']), 'no node of the cluster would stay: add the new nodes first'],
    [
      'another kind',
      withWeb({ kind: 'command' }),
      'web cannot be changed from http() to command(): add a service of another name',
    ],
    [
      'another redundancy',
      withWeb({ redundancy: 'active-passive' }),
      'web cannot be changed from active-active to active-passive',
    ],
    [
      'another data folder',
      withDb({ data: '/elsewhere' }),
      'db: its data folder cannot be changed: make another service',
    ],
    [
      'a port of an instance that still runs',
      cluster([{ ...site, options: { ...webOptions, port: 3000 } }, job, db]),
      '',
    ],
    [
      'two of three replicas gone',
      cluster([site, job, db], ['a', 'd', 'e']),
      'c, b hold replicas of db, and at most 1 may go at a time',
    ],
    [
      'all replicas gone',
      cluster([site, job, { ...db, nodes: ['d', 'e', 'f'] }], ['a', 'b', 'c', 'd', 'e', 'f']),
      'c, a, b hold all replicas of db',
    ],
  ] as const)('%s', (_, after, says) => {
    const found = refusals(after as ClusterSpec)
    if (says === '') expect(found).toEqual([])
    else expect(found.join('\n')).toContain(says)
  })

  it('a node that holds the only replica', () => {
    const alone = {
      ...running,
      services: {
        ...running.services,
        db: { nodes: ['a'], primary: 'a', wanted: 1, replicas: { nodes: ['a'], k: 0 } },
      },
    }
    const without = { ...before, nodes: before.nodes.slice(1) }
    expect(refusals(without, alone)).toEqual([
      'a holds the only replica of db: let another node have one first, with “understudy resize db 2”',
    ])
  })

  it('one of three replicas may go, but not when those that stay are not alive', () => {
    const two = cluster([site, job, db], ['a', 'b'])
    expect(refusals(two)).toEqual([])
    const dead = { ...running, alive: ['c'] }
    expect(refusals(two, dead).join('\n')).toMatch(
      /no node that would stay is alive[\s\S]*no replica of db that would stay is alive \(a, b\)/,
    )
  })

  it('a port that instances of another service have until they have ended', () => {
    const from = cluster([{ ...site, options: { ...webOptions, port: 3000 } }])
    const after = cluster([web({ name: 'api', options: { ...webOptions, port: 3000 } })])
    expect(refusals(after, running, from)).toEqual([
      'api cannot have port 3000 as long as instances of web have it: change or remove web first, then apply this',
    ])
  })
})
