import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { cluster, web, worker } from '../../test/made-up.ts'
import { unwritten } from '../core/config-record.ts'
import { StateFolder } from './cluster-folder.ts'
import { changesText, configChanges } from './config-changes.ts'
import { refuseStart } from './start-cluster.ts'
import { claim } from './up-claim.ts'

const before = cluster([web(), worker()])
const text = (after: typeof before) => changesText(configChanges(before, after))

it('says nothing of two that are the same', () => {
  expect(configChanges(before, structuredClone(before))).toEqual([])
})

it('names what differs, with both values, and what can be done while it runs', () => {
  expect(text(cluster([web({ instances: 5 }), worker()]))).toBe(
    'web.instances 3 → 5; “understudy resize web N” changes a number of instances while it runs',
  )
  expect(text(cluster([web()]))).toBe('worker is gone')
  expect(text(cluster([web(), worker(), web({ name: 'mail' })]))).toBe('mail is new')
  expect(text({ ...before, timing: { ...before.timing, heartbeatMs: 999 } })).toBe('timing.heartbeatMs 100 → 999')
})

it('shows no secret', () => {
  const to = cluster([web({ options: { health: { http: '/healthz' }, env: { API_KEY: 'abc' } } }), worker()])
  const from = cluster([web({ options: { health: { http: '/healthz' }, env: { API_KEY: 'xyz' } } }), worker()])
  expect(changesText(configChanges(from, to))).toBe('web.options.env.API_KEY differs')
  const withKey = (key: string) => {
    const asks = { headers: { Authorization: key } }
    return cluster([web({ options: { health: { http: '/healthz', asks } } }), worker()])
  }
  expect(changesText(configChanges(withKey('abc'), withKey('xyz')))).toBe(
    'web.options.health.asks.headers.Authorization differs',
  )
})

it('up with a changed config says what differs, also while another up looks after the cluster', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-changes-'))
  const state = new StateFolder(join(folder, '.understudy'))
  try {
    state.create()
    state.writeCluster({ config: unwritten(before, { run: 'r' }), run: 'r', version: '0' })
    const giveBack = claim(state.claimFile)
    await expect(refuseStart(cluster([web({ instances: 5 }), worker()]), state)).rejects.toMatchObject({
      code: 'UND_ALREADY_RUNNING',
      message: expect.stringMatching(
        /kept running by process \d+.*differs from the one that runs: web.instances 3 → 5/,
      ),
    })
    giveBack()
  } finally {
    rmSync(folder, { recursive: true })
  }
})
