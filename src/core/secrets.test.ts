/** Secrets by name: what is missing, what an instance is outdated by, and what is not started. */
import { describe, expect, test } from 'vitest'
import { cluster, running, stopped, view, web, worker } from '../../test/made-up.ts'
import { contentRefusal } from './apply-check.ts'
import { effectiveCluster, unwritten } from './config-record.ts'
import { decide } from './decide.ts'
import type { ServiceSpec } from './model.ts'
import type { SecretRecord } from './records.ts'
import { targetOf } from './rollout.ts'
import { missingSecrets, missingSecretsText, secretsOf, usersOf, withoutSecrets } from './secrets.ts'
import type { Revised } from './store-facts.ts'

const options = { env: { PASSWORD: { $secret: 'db-password' }, MODE: 'x' }, secretFiles: { T: { $secret: 'token' } } }
const set = (version: number): Revised<SecretRecord> => {
  return { version, keyId: 'k', sealed: 's', at: 0, by: '', revision: 1 }
}
const effective = (service: ServiceSpec, secrets: Record<string, SecretRecord>) =>
  effectiveCluster(unwritten(cluster([service]), { run: 'r' }), { sizes: {}, wishes: {}, secrets }).services[0]

describe('names', () => {
  test('are found wherever options have them, each once', () => {
    expect(secretsOf({ options: { ...options, deep: [{ x: { $secret: 'token' } }] } })).toEqual([
      'db-password',
      'token',
    ])
    expect(secretsOf(web())).toEqual([])
  })

  test('that are not set are told with the services that need them', () => {
    const spec = cluster([web({ options }), worker({ options: { env: { T: { $secret: 'token' } } } })])
    expect(missingSecrets(spec, ['db-password', 'token'])).toEqual([])
    const missing = missingSecrets(spec, ['db-password'])
    expect(missing).toEqual([{ name: 'token', services: ['web', 'worker'] }])
    expect(missingSecretsText(missing)).toBe(
      'secret “token” (needed by web, worker) is not set: “understudy secret set token” sets it',
    )
    expect(usersOf(spec, 'db-password')).toEqual(['web'])
  })

  test('are empty values in a world without secrets', () => {
    const [service] = withoutSecrets(cluster([web({ options })])).services
    expect(service?.options).toEqual({ env: { PASSWORD: '', MODE: 'x' }, secretFiles: { T: '' } })
  })
})

describe('the effective config', () => {
  test('has the versions of those that are set', () => {
    const { sealed: _, ...removed } = set(3)
    expect(effective(web({ options }), { 'db-password': set(7), token: removed })?.secretVersions).toEqual({
      'db-password': 7,
    })
    expect(effective(web(), { 'db-password': set(7) })).not.toHaveProperty('secretVersions')
  })

  test('a new version is another target of a roll-out, and a secret that it does not use is not', () => {
    const target = (secrets: Record<string, SecretRecord>) => {
      const service = effective(web({ options }), secrets)
      return service && targetOf(service)
    }
    const both = { 'db-password': set(1), token: set(1) }
    expect(target({ ...both, token: set(2) })).not.toBe(target(both))
    expect(target({ ...both, other: set(2) })).toBe(target(both))
  })
})

describe('a service whose secret is not set', () => {
  const service = web({ options })
  const decided = (
    secrets: Record<string, Revised<SecretRecord>> | undefined,
    one = service,
    instance = stopped('web'),
  ) => {
    const made = view({ cluster: cluster([one]), local: { instances: { [one.name]: instance } } })
    return decide({ ...made, store: { ...made.store, leadFreeForMs: { worker: 60_000 }, ...(secrets && { secrets }) } })
  }

  test('is not started, and the problem names what to do', () => {
    const { acts, problems } = decided({ 'db-password': set(1) })
    expect(acts).toEqual([])
    expect(problems[0]).toMatchObject({ rule: 'secret-missing', why: expect.stringContaining('secret set token') })
    expect(decided({ 'db-password': set(1), token: set(1) }).acts).toMatchObject([{ step: { kind: 'start' } }])
  })

  test('is not started either while the store was not read, and the problem says that', () => {
    const { acts, problems } = decided(undefined)
    expect(acts).toEqual([])
    expect(problems[0]).toMatchObject({ rule: 'secret-missing', why: expect.stringContaining('was not read yet') })
  })

  test('takes no lead', () => {
    const single = worker({ options })
    expect(decided({}, single, stopped('worker')).acts).toEqual([])
    const both = { 'db-password': set(1), token: set(1) }
    expect(decided(both, single, stopped('worker')).acts).toMatchObject([{ step: { kind: 'take-lead' } }])
  })

  test('keeps the instance that runs, although it is outdated', () => {
    const outdated = running('web', { outdated: { why: 'its environment changed', needs: 'restart' } })
    expect(decided({}, service, outdated).acts).toEqual([])
  })
})

test('an apply of a config is refused as long as a secret that it names is not set', () => {
  const [before, after] = [cluster([web({ options: {} })]), cluster([web({ options })])]
  const refusal = (secrets: Record<string, Revised<SecretRecord>>) => {
    const made = view({ cluster: before, store: { secrets } })
    return contentRefusal(made, unwritten(before, { run: 'r' }), after, () => ({ needs: 'restart', what: [] }))
  }
  expect(refusal({ token: set(1) })).toMatchObject({
    code: 'UND_REFUSED',
    why: expect.stringContaining('“db-password”'),
  })
  expect(refusal({ token: set(1), 'db-password': set(1) })).toBeUndefined()
})
