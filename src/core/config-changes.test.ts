import { expect, it } from 'vitest'
import { cluster, web, worker } from '../../test/made-up.ts'
import { changesText, configChanges } from './config-changes.ts'

const before = cluster([web(), worker()])
const text = (after: typeof before) => changesText(configChanges(before, after))

it('says nothing of two that are the same', () => {
  expect(configChanges(before, structuredClone(before))).toEqual([])
})

it('names what differs, with both values', () => {
  expect(text(cluster([web({ instances: 5 }), worker()]))).toBe('web.instances 3 → 5')
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
