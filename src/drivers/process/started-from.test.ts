/** What an instance is outdated by, as a sentence. */
import { describe, expect, test } from 'vitest'
import { web } from '../../../test/made-up.ts'
import { outdatedSince, startedFrom } from './started-from.ts'

const secret = { $secret: 'db-password' }
const service = (options: object, secretVersions?: Record<string, number>) =>
  web({ options: { run: 'x', cwd: '/', env: {}, ...options }, ...(secretVersions && { secretVersions }) })
const since = (before: ReturnType<typeof service>, now: ReturnType<typeof service>) =>
  outdatedSince(startedFrom(before), startedFrom(now))

describe('a secret', () => {
  const options = { env: { PASSWORD: secret } }

  test('that has a new version outdates what was started with the one before', () => {
    expect(since(service(options, { 'db-password': 1 }), service(options, { 'db-password': 2 }))).toEqual({
      why: 'secret db-password changed',
      needs: 'restart',
    })
    const files = { secretFiles: { PASSWORD_FILE: secret } }
    expect(since(service(files, { 'db-password': 1 }), service(files, { 'db-password': 2 }))).toBeDefined()
  })

  test('whose version is not known outdates nothing', () => {
    expect(since(service(options, { 'db-password': 1 }), service(options))).toBeUndefined()
    expect(since(service(options), service(options, { 'db-password': 1 }))).toBeUndefined()
  })

  test('that only a check uses outdates nothing', () => {
    const check = { health: { asks: { headers: { Authorization: secret } } } }
    expect(since(service(check, { 'db-password': 1 }), service(check, { 'db-password': 2 }))).toBeUndefined()
  })

  test('that comes, goes, or moves to a file is a change of the environment', () => {
    const why = 'its environment changed'
    const inFile = { secretFiles: { PASSWORD: secret } }
    const versions = { 'db-password': 1 }
    expect(since(service({}), service(options, versions))?.why).toBe(why)
    expect(since(service(options, versions), service({}))?.why).toBe(why)
    expect(since(service(options, versions), service(inFile, versions))?.why).toBe(why)
    expect(since(service({}), service(inFile, versions))?.why).toBe(why)
  })
})
