/** Which value a program and its checks are given, and when it is opened. */
import { describe, expect, test } from 'vitest'
import type { SealedSecret } from '../../core/secrets.ts'
import type { SecretSource } from '../secret-source.ts'
import { openedIn, secretsNow } from './given-secrets.ts'
import type { ProcessOptions } from './options.ts'

const secret = { $secret: 'db-password' }
const options = { env: { MODE: 'x', PASSWORD: secret }, secretFiles: { FILE: secret } } as unknown as ProcessOptions

/** Version by version, and how often one was opened. */
function made(version: number | undefined) {
  const opened: number[] = []
  let now: SealedSecret | undefined
  const set = (next: number | undefined) => {
    now = next === undefined ? undefined : { version: next, keyId: 'k', sealed: `sealed ${next}` }
  }
  const source: SecretSource = {
    sealed: () => now,
    open: (name, { version: one }) => {
      opened.push(one)
      return `${name} ${one}`
    },
  }
  set(version)
  return { source, opened, set }
}

describe('secrets of an instance', () => {
  test('are kept sealed, and opened each time that a program is started', () => {
    const { source, opened } = made(1)
    const given = secretsNow(options, source)
    expect(given).toEqual({ 'db-password': { version: 1, keyId: 'k', sealed: 'sealed 1' } })
    expect(opened).toEqual([])
    expect(openedIn(options.env, given, source)).toEqual({ MODE: 'x', PASSWORD: 'db-password 1' })
    expect(opened).toEqual([1])
  })

  test('stay those of its start when a newer value is set: its checks must not fail before it is replaced', () => {
    const { source, set } = made(1)
    const given = secretsNow(options, source)
    set(2)
    expect(openedIn(options.env, given, source).PASSWORD).toBe('db-password 1')
    expect(openedIn(options.env, secretsNow(options, source), source).PASSWORD).toBe('db-password 2')
  })

  test('that the config had not named at its start are those that are set now', () => {
    expect(openedIn(options.env, {}, made(3).source).PASSWORD).toBe('db-password 3')
    expect(() => openedIn(options.env, {}, made(undefined).source)).toThrow('is not known here')
  })

  test('that are not set refuse the start, with their names', () => {
    expect(() => secretsNow(options, made(undefined).source)).toThrow('secret “db-password” is not set')
    expect(() => secretsNow(options, undefined)).toThrow('secret “db-password” is not set')
    expect(secretsNow({ ...options, env: { MODE: 'x' }, secretFiles: {} }, undefined)).toEqual({})
  })
})
