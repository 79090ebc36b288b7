/** `secret()` in a config: where it may stand, and that the compiled config has the name alone. */
import { describe, expect, test } from 'vitest'
import { hasCode } from '../errors.ts'
import { compileCluster } from './compile.ts'
import { InvalidConfig } from './complaint.ts'
import { command, secret } from './define.ts'

const shop = (options: object) => ({
  name: 'shop',
  nodes: { a: {} },
  services: { mail: { kind: 'command', options: { run: 'x', ...options } } },
})
const complaintsOf = (raw: unknown) => {
  try {
    compileCluster(raw)
    return []
  } catch (error) {
    if (!(error instanceof InvalidConfig)) throw error
    return error.complaints
  }
}

test('is plain data, in TypeScript as in JSON', () => {
  const written = command({ run: 'x', env: { PASSWORD: secret('db-password') }, secretFiles: { KEY: secret('key') } })
  const { spec } = compileCluster({ name: 'shop', nodes: { a: {} }, services: { mail: written } })
  expect(spec.services[0]?.options).toMatchObject({
    env: { PASSWORD: { $secret: 'db-password' } },
    secretFiles: { KEY: { $secret: 'key' } },
  })
  const json = shop({ env: { PASSWORD: { $secret: 'db-password' } }, secretFiles: { KEY: { $secret: 'key' } } })
  expect(compileCluster(JSON.parse(JSON.stringify(json))).spec.services[0]?.options).toEqual(spec.services[0]?.options)
  expect(compileCluster(shop({})).spec.services[0]?.options).not.toHaveProperty('secretFiles')
})

describe('complaints', () => {
  test.each([
    ['a name that is none', { env: { X: secret('hunter2 !') } }, 'services.mail.env.X.$secret'],
    ['the same in a file', { secretFiles: { X: secret('hunter2 !') } }, 'services.mail.secretFiles.X.$secret'],
    ['a name that is a path', { env: { X: secret('../config') } }, 'services.mail.env.X.$secret'],
    ['another field beside it', { env: { X: { $secret: 'a', value: 'hunter2' } } }, 'services.mail.env.X.value'],
    ['text in the place of a secret', { secretFiles: { X: 'hunter2' } }, 'services.mail.secretFiles.X'],
    ['a variable that is a path', { secretFiles: { '../X': secret('a') } }, 'services.mail.secretFiles["../X"]'],
    ['a variable that is ours', { secretFiles: { PORT: secret('a') } }, 'services.mail.secretFiles.PORT'],
    ['one variable twice', { env: { X: 'a' }, secretFiles: { X: secret('a') } }, 'services.mail.secretFiles.X'],
    ['a secret as the program', { run: secret('a') }, 'services.mail.run'],
    ['a secret in a header', { check: { http: '/', headers: { X: secret('a') } } }, 'services.mail.check.headers.X'],
  ])('%s', (_, options, path) => {
    const complaints = complaintsOf(shop(options))
    expect(complaints.map((one) => one.path)).toEqual([path])
    for (const { problem, write } of complaints) expect(`${problem} ${write}`).not.toContain('hunter2')
  })

  test('of text in an environment do not show it', () => {
    const error = (() => {
      try {
        return compileCluster(shop({ env: { X: ['hunter2'] } }))
      } catch (cause) {
        return cause
      }
    })()
    expect(hasCode(error, 'UND_CONFIG_INVALID')).toBe(true)
    expect(JSON.stringify(error)).not.toContain('hunter2')
  })
})
