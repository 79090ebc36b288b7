import { expect, test } from 'vitest'
import { Secrets } from './balancer-secrets.ts'

const secret = { service: 'db', user: 'u', password: 'p', database: 'postgres', tls: null }

test('the newest secrets replace the older ones, and what is not whole replaces nothing', () => {
  const secrets = new Secrets()
  expect(secrets.of('db')).toBeNull()
  expect(secrets.take([secret])).toBeUndefined()
  expect(secrets.of('db')).toEqual(secret)
  for (const wrong of [null, {}, [null], [{ ...secret, password: 1 }], [{ ...secret, tls: { cert: '' } }]])
    expect(secrets.take(wrong)).toBe('not the secrets of endpoints')
  expect(secrets.of('db')).toEqual(secret)
  expect(secrets.take([{ ...secret, service: 'other', tls: { cert: 'c', key: 'k' } }])).toBeUndefined()
  expect(secrets.of('db')).toBeNull()
  expect(secrets.of('other')?.tls).toEqual({ cert: 'c', key: 'k' })
})
