/** Which config comes back after a roll-out failed, and when none does. Against a store in memory. */
import { beforeEach, describe, expect, it } from 'vitest'
import { cluster, view, web, worker } from '../../test/made-up.ts'
import { effectiveCluster } from '../core/config-record.ts'
import type { ClusterSpec } from '../core/model.ts'
import { targetOf } from '../core/rollout.ts'
import { VirtualClock } from '../lib/virtual-clock.ts'
import { MemoryCluster } from '../stores/memory.ts'
import type { Store } from '../stores/store.ts'
import { AgreedRecords, KEY } from './agreed-records.ts'
import { nextRecord, writeConfig } from './config-store.ts'
import { rollBack } from './roll-back.ts'

const withEnv = (A: string, more = cluster([worker()])) => cluster([web({ options: { env: { A } } }), ...more.services])
const withSecret = (A: string) =>
  cluster([web({ options: { env: { A, PASSWORD: { $secret: 'password' } } } }), worker()])

let store: Store
let agreed: AgreedRecords

beforeEach(() => {
  store = new MemoryCluster({ clock: new VirtualClock() }).open()
  agreed = new AgreedRecords()
})

async function look() {
  agreed.take(await store.read(''))
  const { config, wishes } = agreed
  const effective = config && effectiveCluster(config, wishes as never)
  const all = await store.read('')
  const record = (key: string) => {
    const entry = all.entries.get(key)
    return entry && { ...(entry.value as object), revision: entry.revision }
  }
  const only = <T>(name: string, found: T | undefined) => (found ? { [name]: found } : {})
  const facts = {
    config,
    rollouts: only('web', record(KEY.rollout('web'))),
    wishes: only('web', record(KEY.wish('web'))),
    secrets: only('password', record('secret/password')),
  }
  return view({ cluster: effective ?? withEnv('none'), store: facts as never })
}

async function apply(spec: ClusterSpec) {
  await look()
  const who = { run: 'r', at: 0, by: 'me@here', message: '', version: '1.2.3' }
  await writeConfig(store, agreed.config, nextRecord(agreed.config, spec, who), null)
}

async function put(key: string, value: object) {
  await store.swap([], [{ key, value }])
}

/** The roll-out of what web is now fails, and the step is taken. */
async function fail() {
  const { cluster: effective } = await look()
  const service = effective.services.find(({ name }) => name === 'web') ?? web()
  const target = targetOf(service)
  await put(KEY.rollout('web'), { target, turns: [], failed: { node: 'a', why: 'web failed' } })
  const told = await rollBack('web', target, await look(), store)
  await look()
  const rollout = (await store.read('')).entries.get(KEY.rollout('web'))?.value
  return { told, rollout, number: agreed.config?.number, spec: agreed.config?.spec }
}

const stays = { rollout: { failed: { noWayBack: true } } }

describe('the way back', () => {
  it('is the last config in which the service was another, and keeps what was changed beside it since', async () => {
    await apply(withEnv('1'))
    await apply(withEnv('2'))
    const changed = cluster([worker({ instances: 3 })])
    await apply(withEnv('2', changed))
    const { told, number, spec } = await fail()
    expect(told).toBe('config 4: web back to config 1: web failed')
    expect(number).toBe(4)
    expect(spec).toEqual(withEnv('1', changed))
  })

  it('is none when the service was never another', async () => {
    await apply(withEnv('1'))
    expect(await fail()).toMatchObject({ ...stays, number: 1, told: expect.stringContaining('no config before') })
  })

  it('is none after a restart that was asked for: the config is not what failed', async () => {
    await apply(withEnv('1'))
    await apply(withEnv('2'))
    await put(KEY.wish('web'), { restarts: 1 })
    expect(await fail()).toMatchObject({
      ...stays,
      number: 2,
      told: expect.stringContaining('a restart was asked for'),
    })
  })

  it('is there when the config is newer than the last restart', async () => {
    await apply(withEnv('1'))
    await put(KEY.wish('web'), { restarts: 1 })
    await apply(withEnv('2'))
    expect(await fail()).toMatchObject({ number: 3, spec: withEnv('1') })
  })

  it('is none after a secret was changed, and there when the config is newer', async () => {
    await apply(withSecret('1'))
    await apply(withSecret('2'))
    await put('secret/password', { version: 2, keyId: 'k', sealed: 'x', at: 0, by: '' })
    expect(await fail()).toMatchObject({ ...stays, number: 2, told: expect.stringContaining('the secret password') })
    await apply(withSecret('3'))
    expect(await fail()).toMatchObject({ number: 4, spec: withSecret('2') })
  })

  it('is none when it failed itself: two bad versions do not take turns', async () => {
    await apply(withEnv('1'))
    await apply(withEnv('2'))
    expect(await fail()).toMatchObject({ number: 3 })
    expect(await fail()).toMatchObject({
      ...stays,
      number: 3,
      told: expect.stringContaining('the way back to config 1'),
    })
    await apply(withEnv('1', cluster([worker({ instances: 3 })])))
    expect(await fail()).toMatchObject({ ...stays, number: 4 })
  })
})
