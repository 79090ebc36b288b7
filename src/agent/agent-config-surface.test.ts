/** Changing the config through an agent's API, against a store in memory and an agent that only looks. */
import { beforeEach, describe, expect, it } from 'vitest'
import { cluster, database, peer, running, view, web, worker } from '../../test/made-up.ts'
import { effectiveCluster } from '../core/config-record.ts'
import type { ClusterSpec, NodeReport } from '../core/model.ts'
import { PROTOCOL } from '../core/protocol.ts'
import type { ServiceWish } from '../core/records.ts'
import type { PeerFacts, View } from '../core/view.ts'
import { VirtualClock } from '../lib/virtual-clock.ts'
import { MemoryCluster } from '../stores/memory.ts'
import type { Store } from '../stores/store.ts'
import { AgentConfigSurface } from './agent-config-surface.ts'
import { AgreedRecords, KEY } from './agreed-records.ts'
import { nextRecord, writeConfig } from './config-store.ts'
import type { Agent } from './loop.ts'

const first = cluster([web(), worker(), database()])
const withEnv = (value: string) => cluster([web({ options: { env: { A: value } } }), worker(), database()])

let store: Store
let agreed: AgreedRecords
let present: View
let surface: AgentConfigSurface
/** Of peers; what is not named here says the protocol of this version. */
let spoken: Record<string, Partial<NodeReport> & { readonly state?: PeerFacts['state']; readonly isHeard?: false }>

const quorum = { term: 1, primary: 'a', standbys: ['b', 'c'], k: 1, id: 'x' }
const dbRecord = { term: 1, primary: 'a', replica: { phase: 'serving', quorumConfigs: [quorum] } }

beforeEach(async () => {
  store = new MemoryCluster({ clock: new VirtualClock() }).open()
  agreed = new AgreedRecords()
  const look = async () => agreed.take(await store.read(''))
  const record = nextRecord(undefined, first, { run: 'r', at: 0, by: 'me@here', message: 'up', version: '1.2.3' })
  await writeConfig(store, undefined, record, { name: 'u.config.ts', text: 'first' })
  await look()
  spoken = {}
  const heard = (node: string): PeerFacts => {
    const { state = 'alive', isHeard = true, ...said } = spoken[node] ?? { protocol: PROTOCOL, version: '1.2.3' }
    const facts = peer(node, [running('web')], { state })
    return { ...facts, report: isHeard && facts.report ? { ...facts.report, ...said } : null }
  }
  const agent = {
    look,
    announce: look,
    get agreed() {
      return agreed
    },
    get config() {
      return agreed.config
    },
    get view() {
      const { wishes, config } = agreed
      const effective = config ? effectiveCluster(config, { sizes: wishes.sizes, wishes: wishes.wishes ?? {} }) : first
      const facts = { services: { db: { ...dbRecord, revision: 1 } }, config }
      present = view({ cluster: effective, store: facts as never, peers: { b: heard('b'), c: heard('c') } })
      return present
    },
  } as unknown as Agent
  surface = new AgentConfigSurface({ agent, store, run: 'r', version: '1.2.3' })
})

const by = { version: '1.2.3', by: 'op@host' }
const apply = (spec: ClusterSpec, expect_ = 1, more = {}) => surface.apply({ spec, expect: expect_, ...by, ...more })

describe('apply', () => {
  it('replaces the config that was expected, and keeps what held before', async () => {
    const source = { name: 'u.config.ts', text: 'second' }
    expect(await apply(withEnv('x'), 1, { source, message: 'because' })).toMatchObject({ number: 2 })
    expect(await surface.read()).toMatchObject({ number: 2, by: 'op@host', message: 'because', source })
    expect(await surface.read(1)).toMatchObject({ number: 1, spec: first, source: { text: 'first' } })
    expect((await surface.history()).map(({ number }) => number)).toEqual([2, 1])
    expect(agreed.config).toMatchObject({ number: 2, run: 'r' })
  })

  it('of two at once refuses the one that came second, and says whose came first', async () => {
    const outcomes = await Promise.allSettled([apply(withEnv('x')), apply(withEnv('y'), 1, { by: 'other@host' })])
    expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    const late = outcomes.find(({ status }) => status === 'rejected') as PromiseRejectedResult
    expect(late.reason).toMatchObject({
      code: 'UND_CONFLICT',
      message: expect.stringContaining('config 2 was applied by'),
    })
    await expect(apply(withEnv('z'), 1)).rejects.toMatchObject({ code: 'UND_CONFLICT' })
    expect((await surface.history()).length).toBe(2)
  })

  it('of a config that says the same changes nothing', async () => {
    expect(await apply(structuredClone(first))).toMatchObject({
      number: 1,
      what: expect.stringContaining('nothing changes'),
    })
    expect((await surface.history()).length).toBe(1)
  })

  it.each([
    [
      'an older Understudy than the nodes',
      { version: '1.2.2' },
      'UND_TOO_OLD',
      'Understudy 1.2.2 is older than the nodes, which run 1.2.3',
    ],
    [
      'a compiled form that this node does not know',
      { version: '9.0.0', schema: 99 },
      'UND_TOO_OLD',
      'upgrade the nodes first',
    ],
    ['a text that is too long', { source: { name: 'x', text: 'x'.repeat(300_000) } }, 'UND_BAD_REQUEST', 'KiB of text'],
  ])('refuses %s, and nothing changes', async (_, more, code, says) => {
    await expect(apply(withEnv('x'), 1, more)).rejects.toMatchObject({ code, message: expect.stringContaining(says) })
    expect(await surface.read()).toMatchObject({ number: 1, spec: first })
  })

  it('refuses what would lose data, with every reason', async () => {
    const { services } = first
    const wanted = { ...cluster(services, ['a']), apiPort: 7500 }
    const refusal = await apply(wanted).catch((error: unknown) => error)
    expect(refusal).toMatchObject({
      code: 'UND_REFUSED',
      message: expect.stringMatching(/7400[\s\S]*b, c hold replicas of db/),
    })
    expect(await surface.read()).toMatchObject({ number: 1 })
  })
})

describe('the way back', () => {
  it('rollback applies an earlier config as a new one, with its text', async () => {
    await apply(withEnv('x'))
    expect(await surface.rollback({ to: 1, by: 'op@host' })).toMatchObject({ number: 3 })
    expect(await surface.read()).toMatchObject({
      number: 3,
      spec: first,
      message: 'back to config 1',
      source: { text: 'first' },
    })
    await expect(surface.rollback({ to: 9 })).rejects.toMatchObject({
      code: 'UND_UNKNOWN_CONFIG',
      message: 'there is no config 9: kept are 1 to 3',
    })
    await expect(surface.rollback({ to: 1, expect: 2 })).rejects.toMatchObject({ code: 'UND_CONFLICT' })
  })

  it('abort goes back to the config before, and not back and forth', async () => {
    await expect(surface.abort({})).rejects.toMatchObject({ message: 'there is no config before config 1' })
    await apply(withEnv('x'))
    expect(await surface.abort({})).toMatchObject({ number: 3 })
    expect(await surface.read()).toMatchObject({ spec: first, message: 'back to config 1: config 2 was aborted' })
    await expect(surface.abort({})).rejects.toMatchObject({ message: 'config 3 is the way back to config 1 already' })
  })
})

describe('a service', () => {
  const wish = async (name: string) =>
    (await store.read(KEY.wish(name))).entries.get(KEY.wish(name))?.value as ServiceWish

  it('is restarted as often as it was asked', async () => {
    await surface.restart('web')
    await surface.restart('web')
    expect(await wish('web')).toEqual({ restarts: 2 })
  })

  it('stays stopped until it is started, and keeps its number of restarts', async () => {
    await surface.restart('web')
    await surface.setStopped('web', true, 'op@host')
    expect(await wish('web')).toMatchObject({ restarts: 1, stopped: { by: 'op@host' } })
    await expect(surface.restart('web')).rejects.toMatchObject({ code: 'UND_REFUSED' })
    expect(await surface.setStopped('web', true, 'other')).toMatchObject({ what: 'web is stopped already' })
    await surface.setStopped('web', false, 'op@host')
    expect(await wish('web')).toEqual({ restarts: 1 })
  })

  it('that is not there is named with the one that was probably meant', async () => {
    await expect(surface.restart('wbe')).rejects.toMatchObject({
      code: 'UND_UNKNOWN_SERVICE',
      message: 'there is no service wbe; did you mean web?; there are web, worker, db',
    })
  })
})

describe('while a node runs a version that would not act on it', () => {
  const everything: [string, () => Promise<unknown>][] = [
    ['apply', () => apply(withEnv('y'), 2)],
    ['rollback', () => surface.rollback({ to: 1 })],
    ['abort', () => surface.abort({})],
    ['restart', () => surface.restart('web')],
    ['stop', () => surface.setStopped('web', true, 'op@host')],
    ['start', () => surface.setStopped('worker', false, 'op@host')],
  ]

  beforeEach(async () => {
    await apply(withEnv('x'))
    await surface.setStopped('worker', true, 'op@host')
  })

  it.each(everything)('%s is refused with the name of the node, and nothing changes', async (_, ask) => {
    const before = (await store.read('')).revision
    spoken = { c: {} }
    await expect(ask()).rejects.toMatchObject({
      code: 'UND_TOO_OLD',
      message: expect.stringMatching(/^c runs an earlier version of Understudy, .*“understudy upgrade --self”/),
    })
    spoken = { b: { version: '1.2.2', protocol: 0 } }
    await expect(ask()).rejects.toMatchObject({ message: expect.stringMatching(/^b runs Understudy 1.2.2, /) })
    spoken = { b: { isHeard: false, state: 'unknown' } }
    await expect(ask()).rejects.toMatchObject({ message: expect.stringContaining('b has not said yet') })
    expect((await store.read('')).revision).toBe(before)
  })

  it('a lost node does not hold up the config that takes it out, nor one that was never heard any change', async () => {
    const without = cluster([web(), worker(), database({ nodes: ['a', 'b'] })], ['a', 'b'])
    spoken = { c: { state: 'lost' } }
    await expect(apply(withEnv('y'), 2)).rejects.toMatchObject({
      message: expect.stringMatching(/^c is lost and last ran/),
    })
    await expect(apply(without, 2)).resolves.toMatchObject({ number: 3 })
    spoken = { c: { state: 'lost', isHeard: false } }
    await expect(surface.restart('web')).resolves.toBeDefined()
  })
})
