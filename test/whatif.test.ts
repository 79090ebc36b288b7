/**
 * What `understudy whatif` says, held against three things: the weaknesses that were planted in the configs of
 * test/whatif/, the simulator, which runs the same failures with the real agents, and what must be so whatever the config.
 */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compileCluster } from '../src/config/compile.ts'
import { command, http } from '../src/config/define.ts'
import { loadConfig } from '../src/config/load-config.ts'
import type { ClusterSpec, ServiceSpec } from '../src/core/model.ts'
import { NOTHING } from '../src/whatif/failure.ts'
import { failureNamed } from '../src/whatif/naming.ts'
import { WhatIf } from '../src/whatif/whatif.ts'
import { cluster, web, worker } from './made-up.ts'

const root = join(import.meta.dirname, '..')
const folder = join(root, 'test/whatif')

async function specOf(file: string): Promise<ClusterSpec> {
  const { raw } = await loadConfig(file)
  return compileCluster(raw, { file, isLocal: () => true }).spec
}

const weaknesses = (spec: ClusterSpec, voters?: readonly string[]) =>
  new WhatIf({ cluster: spec, ...(voters && { voters }) })
    .report()
    .weaknesses.map(({ name, service }) => (service === null ? name : `${name} ${service}`))

describe('the weakness that was planted is named', () => {
  const planted: Readonly<Record<string, string>> = {
    'one-instance': 'one-instance web',
    'two-nodes': 'two-nodes',
    'shared-zone': 'shared-zone',
    'one-usable-node': 'one-usable-node licensed',
    'nodes-in-one-zone': 'nodes-in-one-zone files',
    'lease-over-rto': 'lease-over-rto mailer',
    'start-over-rto': 'start-over-rto api',
    'weaker-need': 'weaker-need web',
    'copies-in-one-region': 'copies-in-one-region web',
    'one-node': 'one-address',
    'voters-in-one-zone': 'voters-in-one-zone',
    'impatient-timing': 'impatient-timing',
    'four-voters': 'even-voters',
  }

  it('for each config in test/whatif', () => {
    const files = readdirSync(folder).map((name) => name.replace('.config.ts', ''))
    expect(files.filter((name) => name !== 'large').sort()).toEqual(Object.keys(planted).sort())
  })

  it.each(Object.entries(planted))('%s: %s', async (file, weakness) => {
    const spec = await specOf(join(folder, `${file}.config.ts`))
    const voters = file === 'four-voters' ? ['a', 'b', 'c', 'd'] : undefined
    const found = weaknesses(spec, voters)
    expect(found).toContain(weakness)
    // No other node is accused of it.
    const [name] = weakness.split(' ')
    expect(found.filter((one) => one.startsWith(`${name} `) || one === name)).toEqual([weakness])
  })

  it('in the examples there is nothing that one failure ends', async () => {
    for (const name of readdirSync(join(root, 'examples'))) {
      const report = new WhatIf({ cluster: await specOf(join(root, 'examples', name)) }).report()
      expect(report.weaknesses.filter(({ severity }) => severity !== 'note')).toEqual([])
      expect(report.weaknesses.map(({ name: one }) => one)).toEqual(['one-machine', 'one-address'])
    }
  })
})

describe('the change removes the weakness', () => {
  const nodes = { a: {}, b: {}, c: {} }
  const passive = { run: 'x', redundancy: 'active-passive' as const, instances: 2 }
  const found = (services: Record<string, unknown>, among: unknown = nodes) =>
    weaknesses(compileCluster({ name: 'x', nodes: among, services }, { isLocal: () => true }).spec)

  it.each([
    ['one-instance s', http({ run: 'x', instances: 1, listen: 1 }), http({ run: 'x', instances: 2, listen: 1 })],
    ['one-usable-node s', command({ run: 'x', nodes: ['a'] }), command({ run: 'x', nodes: ['a', 'b'] })],
    [
      'lease-over-rto s',
      command({ ...passive, lease: '5s', objectives: { rto: '2s' } }),
      command({ ...passive, lease: '1s', objectives: { rto: '2s' } }),
    ],
    [
      'start-over-rto s',
      command({ ...passive, lease: '500ms', objectives: { rto: '800ms' } }),
      command({
        ...passive,
        lease: '500ms',
        objectives: { rto: '800ms' },
        standby: 'warm',
        promote: { signal: 'SIGUSR2' },
      }),
    ],
  ])('%s', (weakness, before, after) => {
    expect(found({ s: before })).toContain(weakness)
    expect(found({ s: after })).not.toContain(weakness)
  })

  it('shared-zone', () => {
    const s = { s: http({ run: 'x', listen: 1 }) }
    expect(found(s, { a: { zone: 'n' }, b: { zone: 'n' }, c: {} })).toContain('shared-zone')
    expect(found(s, nodes)).not.toContain('shared-zone')
    expect(found(s, { a: { zone: 'n' }, b: { zone: 'n' } })).toContain('one-zone')
  })
})

describe('a service that replicates', () => {
  const traits = { singleWriter: false, replicates: true, reportsPosition: true, canRewind: true }
  const db = (given: Partial<ServiceSpec> = {}) =>
    worker({ name: 'db', kind: 'made-up', instances: 3, traits, standby: 'warm', endpoints: [], ...given })
  const ask = (given: Partial<ServiceSpec>, nodes = ['a', 'b', 'c']) =>
    new WhatIf({ cluster: cluster([db(given)], nodes), primaries: { db: 'a' } })
  const lost = (whatif: WhatIf, ...nodes: string[]) => whatif.inquiry.outcome('db', { ...NOTHING, nodes })

  it('loses one of three without losing a write, and takes writes again', () => {
    const whatif = ask({})
    expect(lost(whatif, 'a')).toMatchObject({ served: true, loss: 'none', pauseMs: 1_100 })
    expect(lost(whatif, 'b')).toMatchObject({ served: true, primary: 'a', loss: 'none', pauseMs: 0 })
  })

  it('stays down with two of three gone, and says why', () => {
    const two = lost(ask({}), 'a', 'b')
    expect(two).toMatchObject({ served: false, pauseMs: null, loss: 'if-disks-are-gone' })
    expect(two.why).toMatch(/quorum lost \(up: c; down: a, b\)\. c serves reads/)
    expect(lost(ask({}), 'b', 'c')).toMatchObject({ served: false, primary: 'a', loss: 'none' })
  })

  it('survives two of five', () => {
    const whatif = ask({ instances: 5 }, ['a', 'b', 'c', 'd', 'e'])
    expect(lost(whatif, 'a', 'b')).toMatchObject({ served: true, loss: 'none' })
    expect(lost(whatif, 'a', 'b', 'c')).toMatchObject({ served: false, loss: 'if-disks-are-gone' })
  })

  it('with k 0 may lose writes, which is named and breaks the objective', () => {
    const whatif = ask({ replication: { k: 0, degrade: 'block' }, objectives: { rpo: 0 } })
    // No standby takes over by itself: it would be without what only the primary had.
    expect(lost(whatif, 'a')).toMatchObject({ served: false, loss: 'possible', objective: 'missed' })
    const report = whatif.report()
    expect(report.missed.map(({ by }) => by)).toContain('node a')
    expect(report.weaknesses).toContainEqual(expect.objectContaining({ name: 'k-too-low', severity: 'objective' }))
  })

  it('with k 1 may have both copies of a write in one zone', () => {
    const nodes = ['a:north', 'b:north', 'c:south', 'd:west', 'e:east']
    const found = (k: number) =>
      ask({ instances: 5, replication: { k, degrade: 'block' } }, nodes)
        .report()
        .weaknesses.map(({ name }) => name)
    expect(found(1)).toContain('k-too-low')
    expect(found(2)).not.toContain('k-too-low')
  })

  it('with k as high as its standbys waits when one of them is lost', () => {
    const report = ask({ replication: { k: 2, sync: 2, degrade: 'block' } }).report()
    expect(report.weaknesses).toContainEqual(
      expect.objectContaining({ name: 'k-too-high', service: 'db', severity: 'risk', change: 'k of 1' }),
    )
    expect(
      ask({})
        .report()
        .weaknesses.map(({ name }) => name),
    ).not.toContain('k-too-high')
  })
})

describe('who leads, and when', () => {
  const three = cluster([worker({ instances: 3 }), web()])
  const whatif = new WhatIf({ cluster: three, primaries: { worker: 'a' } })

  it('waits for the lease after silence, and for nothing after an end that was seen', () => {
    const silent = whatif.inquiry.outcome('worker', { ...NOTHING, nodes: ['a'] })
    expect(silent).toMatchObject({ served: true, evidence: 'silence', pauseMs: 3_000 })
    expect(silent.order).toHaveLength(2)
    expect(silent.primary).toBe(silent.order[0])
    const seen = whatif.inquiry.outcome('worker', { ...NOTHING, instances: ['a worker'] })
    expect(seen).toMatchObject({ served: true, evidence: 'first-hand', pauseMs: 1_020 })
  })

  it('is measured, where receipts say so', () => {
    const measured = new Map([['worker silence', 2_700]])
    const known = new WhatIf({ cluster: three, primaries: { worker: 'a' }, measured })
    const outcome = known.inquiry.outcome('worker', { ...NOTHING, nodes: ['a'] })
    expect(outcome).toMatchObject({ pauseMs: 3_100, pauseFrom: 'receipts' }) // 400 ms of silence come before any receipt
  })

  it('stops without the store when it must be alone, and goes on when not', () => {
    const away = { ...NOTHING, store: true }
    expect(whatif.inquiry.outcome('worker', away)).toMatchObject({ served: false, stopsAfterMs: 1_000 })
    expect(whatif.inquiry.outcome('web', away)).toMatchObject({ served: true, pauseMs: 0 })
  })

  it('follows the majority of the store when a link is cut', () => {
    const split = new WhatIf({ cluster: three, voters: ['a', 'b', 'c'], primaries: { worker: 'a' } })
    const alone = { ...NOTHING, cuts: ['a b', 'a c'] }
    const outcome = split.inquiry.outcome('worker', alone)
    expect(outcome.served).toBe(true)
    expect(outcome.primary).not.toBe('a')
    expect(outcome.by).not.toContain('a')
    expect(split.inquiry.outcome('worker', { ...NOTHING, nodes: ['b', 'c'] }).served).toBe(false)
  })

  it('has no majority on either side of a cut through the middle', () => {
    const four = cluster([worker({ instances: 3 })], ['a', 'b', 'c', 'd'])
    const voters = ['a', 'b', 'c', 'd']
    const halves = { ...NOTHING, cuts: ['a c', 'a d', 'b c', 'b d'] }
    const outcome = new WhatIf({ cluster: four, voters, primaries: { worker: 'a' } }).inquiry.outcome('worker', halves)
    expect(outcome).toMatchObject({ served: false, stopsAfterMs: 1_000 })
  })

  it('is reached only through balancers that hear it', () => {
    const led = cluster([worker({ endpoints: [{ purpose: 'primary', protocol: 'tcp', port: 9000 }] })])
    const cut = { ...NOTHING, cuts: ['a c'] }
    const outcome = new WhatIf({ cluster: led, primaries: { worker: 'a' } }).inquiry.outcome('worker', cut)
    expect(outcome).toMatchObject({ served: true, by: ['a'], balancers: ['a', 'b'] })
  })

  it('says so when the core takes steps that it does not know', () => {
    expect(whatif.report().notModelled).toEqual([])
  })
})

describe('names of failures', () => {
  const spec = cluster([web()], ['a:north', 'b:north', 'c:south'])
  it.each([
    ['a', 'node a'],
    ['north', 'zone north'],
    ['zone:south', 'zone south'],
    ['region:default', 'region default'],
    ['a.web', 'web on a'],
    ['b.balancer', 'balancer of b'],
    ['link:north:south', 'link north–south'],
    ['store', 'store'],
    ['a.store', 'store on a'],
  ])('%s', (name, label) => expect(failureNamed(name, spec)?.label).toBe(label))
  it.each(['d', 'a.mailer', 'link:north:north', 'zone:east', ''])('not “%s”', (name) =>
    expect(failureNamed(name, spec)).toBeUndefined(),
  )
  it('are those of the failures themselves', () => {
    const whatif = new WhatIf({ cluster: spec })
    for (const failure of whatif.failures) expect(failureNamed(failure.id, spec)).toEqual(failure)
  })
})

describe('whatever the config', () => {
  const names = ['a', 'b', 'c', 'd', 'e']
  const service = (index: number) =>
    fc
      .record({
        passive: fc.boolean(),
        warm: fc.boolean(),
        instances: fc.integer({ min: 1, max: 4 }),
        nodes: fc.subarray(names, { minLength: 0 }),
        needs: fc.boolean(),
        replicates: fc.boolean(),
      })
      .map(({ passive, warm, instances, nodes, needs, replicates }) => {
        const given = { name: `s${index}`, instances, nodes, needs: needs && index > 0 ? [`s${index - 1}`] : [] }
        const traits = { singleWriter: !replicates, replicates, reportsPosition: replicates, canRewind: false }
        return passive ? worker({ ...given, standby: warm ? 'warm' : 'cold', traits }) : web(given)
      })
  const spec = fc
    .record({
      zones: fc.array(fc.constantFrom('x', 'y', 'z'), { minLength: 1, maxLength: 5 }),
      services: fc.tuple(service(0), service(1)),
    })
    .map(({ zones, services }) => {
      const nodes = zones.map((zone, index) => `${names[index]}:${zone}`)
      const known = services.map((one) => ({
        ...one,
        nodes: one.nodes.filter((name) => names.indexOf(name) < nodes.length),
      }))
      return cluster(known, nodes)
    })

  it('losing more nodes never serves more', () => {
    fc.assert(
      fc.property(spec, fc.subarray(names), fc.subarray(names), fc.boolean(), (made, some, others, several) => {
        const there = (list: readonly string[]) =>
          made.nodes.map(({ name }) => name).filter((name) => list.includes(name))
        const voters = several ? made.nodes.slice(0, made.nodes.length > 2 ? 3 : 1).map(({ name }) => name) : null
        const whatif = new WhatIf({ cluster: made, voters })
        const [few, many] = [there(some), there([...some, ...others])]
        for (const { name } of made.services) {
          const served = (nodes: readonly string[]) => whatif.inquiry.outcome(name, { ...NOTHING, nodes }).served
          if (served(many)) expect(served(few), `${name} without ${few}, as it is without ${many}`).toBe(true)
        }
      }),
      { numRuns: 300, seed: 1 },
    )
  })

  it('no answer depends on what was asked before', () => {
    fc.assert(
      fc.property(spec, (made) => {
        const [one, other] = [new WhatIf({ cluster: made }), new WhatIf({ cluster: made })]
        const forwards = one.singles()
        const backwards = [...other.failures].reverse().map((failure) => other.row([failure]))
        expect(backwards.reverse()).toEqual(forwards)
      }),
      { numRuns: 20, seed: 2 },
    )
  })
})
