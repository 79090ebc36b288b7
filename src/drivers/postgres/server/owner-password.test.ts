import { expect, test } from 'vitest'
import type { SealedSecret, SecretRef } from '../../../core/secrets.ts'
import { verifierOf } from '../../../lib/scram.ts'
import { POSTGRES_DEFAULTS } from '../options.ts'
import type { Replica } from '../replica.ts'
import { ownerLogin, passwordWork } from './owner-password.ts'

const options = (owner: string | null, password: string | SecretRef | null) => ({
  ...POSTGRES_DEFAULTS,
  bootstrap: { ...POSTGRES_DEFAULTS.bootstrap, owner, password },
})

test('the password of the config is followed when the config changes, and not otherwise', () => {
  const taken = verifierOf('first')
  expect(passwordWork(taken, 'first', true)).toBe('nothing')
  expect(passwordWork(taken, 'second', true)).toBe('change')
})

test('what an earlier version of Understudy made is remembered and left as it is: it may have been changed since', () => {
  expect(passwordWork(undefined, 'first', true)).toBe('remember')
})

test('a role that is gone is not made again', () => {
  expect(passwordWork(verifierOf('first'), 'second', false)).toBe('nothing')
})

test('a config without a database has no password', () => {
  expect(ownerLogin(options(null, null), undefined)).toBeNull()
  expect(ownerLogin(options('shop', 'first') satisfies Replica['parts']['options'], undefined)).toEqual({
    owner: 'shop',
    password: 'first',
  })
})

test('a password that is a secret is opened when it is needed, as it is set then', () => {
  const ref = options('shop', { $secret: 'db-password' })
  let now: SealedSecret | undefined
  const source = { sealed: () => now, open: (name: string, { version }: SealedSecret) => `${name} ${version}` }
  expect(() => ownerLogin(ref, source)).toThrow('secret “db-password” is not set')
  expect(() => ownerLogin(ref, undefined)).toThrow('secret “db-password” is not set')
  for (const version of [1, 2]) {
    now = { version, keyId: 'k', sealed: 's' }
    expect(ownerLogin(ref, source)).toEqual({ owner: 'shop', password: `db-password ${version}` })
  }
})
