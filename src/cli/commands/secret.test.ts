/** The command, through the agents and without any; what is typed, what is refused, and that no value is printed. */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { cluster, web } from '../../../test/made-up.ts'
import { type ApiServer, serveApi } from '../../api/api-server.ts'
import { FakeSurface } from '../../api/fake-surface.ts'
import { unwritten } from '../../core/config-record.ts'
import type { ClusterSpec } from '../../core/model.ts'
import { StateFolder } from '../../local/cluster-folder.ts'
import { fakeIo } from '../fake-io.ts'
import type { Input } from '../io.ts'
import { run } from '../program.ts'
import { missingSecretsFor } from '../secrets-access.ts'

const VALUE = 'hunter2-äß'
const WEB = web({ options: { env: { PASSWORD: { $secret: 'db-password' } } } })

let folder: string
let state: StateFolder
let api: ApiServer | undefined
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'understudy-secret-'))
  state = new StateFolder(join(folder, '.understudy'))
})
afterEach(async () => {
  await api?.close()
  api = undefined
  rmSync(folder, { recursive: true, force: true })
})

const pieces = (...texts: string[]): Input =>
  (async function* () {
    for (const text of texts) yield Buffer.from(text)
  })()

function terminal(...keys: string[]): Input & { readonly raw: boolean[] } {
  const raw: boolean[] = []
  return Object.assign(pieces(...keys), {
    isTTY: true as const,
    raw,
    setRawMode: (mode: boolean) => void raw.push(mode),
    pause: () => {},
  }) as unknown as Input & { readonly raw: boolean[] }
}

async function command(words: string, input: Input = pieces()) {
  const io = fakeIo({ cwd: folder, input })
  const code = await run(words.split(' '), io)
  const all = [...io.printed, ...io.complained].join('\n')
  expect(all).not.toContain(VALUE)
  return { code, text: io.text(), all }
}

function keepCluster(spec: ClusterSpec): void {
  state.create()
  state.writeCluster({ config: unwritten(spec, { run: 'r' }), run: 'r', version: '0' })
}

describe('without an agent', () => {
  test('a secret is set in the store of a new state folder, which is closed to others', async () => {
    const { code, text } = await command('secret set db-password', pieces(VALUE.slice(0, 3), VALUE.slice(3), '\n'))
    expect(code).toBe(0)
    expect(text).toContain('newline at the end was left out')
    expect(text).toContain('db-password has version 1 now')
    expect(statSync(state.path).mode & 0o777).toBe(0o700)
    expect(statSync(state.secretsKeyFile).mode & 0o777).toBe(0o600)
    expect(readFileSync(state.storeFile).includes(VALUE)).toBe(false)
    expect((await command('secret list')).text).toMatch(/db-password +1 .*-$/m)
  })

  test('the same value without the newline changes nothing, another one does', async () => {
    await command('secret set db-password', pieces(`${VALUE}\n`))
    expect((await command('secret set db-password', pieces(VALUE))).text).toContain('has this value already')
    const { text } = await command('secret set db-password --json', pieces(`${VALUE}\n\n`))
    expect(JSON.parse(text)).toMatchObject({ version: 2, changed: true })
  })

  test('comes from a file', async () => {
    writeFileSync(join(folder, 'value'), VALUE)
    expect((await command('secret set db-password --file value')).code).toBe(0)
    expect((await command('secret set db-password', pieces(VALUE))).text).toContain('has this value already')
    expect((await command('secret set db-password --file nothing')).all).toContain('UND_BAD_REQUEST')
  })

  test('rm is refused while the config that is kept uses it', async () => {
    keepCluster(cluster([WEB]))
    await command('secret set db-password', pieces(VALUE))
    expect(await command('secret rm db-password')).toMatchObject({ code: 3, all: expect.stringContaining('web uses') })
    keepCluster(cluster([web()]))
    expect((await command('secret rm db-password')).code).toBe(0)
    expect((await command('secret list')).text).toContain('No secret is set')
    expect((await command('secret rm db-password')).all).toContain('UND_UNKNOWN_SECRET')
  })

  test('what a config names and is not set is found', async () => {
    const spec = cluster([WEB])
    expect(await missingSecretsFor(spec, state)).toContain('“db-password” (needed by web) is not set')
    await command('secret set db-password', pieces(VALUE))
    expect(await missingSecretsFor(spec, state)).toBe('')
    expect(await missingSecretsFor(cluster([web()]), new StateFolder('/nowhere'))).toBe('')
  })
})

describe('a terminal', () => {
  test('is asked without echo, and given back', async () => {
    const input = terminal('hunterX\x7f2', '-äß', '\r')
    const { code, all } = await command('secret set db-password', input)
    expect(code).toBe(0)
    expect(all).toContain('not shown')
    expect(input.raw).toEqual([true, false])
    expect((await command('secret set db-password', pieces(VALUE))).text).toContain('has this value already')
  })

  test('Ctrl-C calls it off', async () => {
    const input = terminal(`${VALUE}\x03`)
    expect((await command('secret set db-password', input)).all).toContain('nothing was set')
    expect(input.raw).toEqual([true, false])
  })
})

describe('refused', () => {
  test.each([
    ['no value', 'secret set db-password', pieces('\n')],
    ['a value that is too long', 'secret set db-password', pieces('x'.repeat(65_537))],
    [
      'bytes that are no text',
      'secret set db-password',
      (async function* () {
        yield Buffer.from([0xff, 0xfe])
      })(),
    ],
    ['a name that is none', 'secret set ../config', pieces(VALUE)],
    ['no name', 'secret set', pieces(VALUE)],
    ['a name for list', 'secret list db-password', pieces()],
    ['another action', 'secret get db-password', pieces()],
    ['the value as an argument', 'secret set db-password hunter2', pieces()],
  ])('%s', async (_, words, input) => {
    expect((await command(words, input)).code).toBe(2)
    expect((await command('secret list')).text).toContain('No secret is set')
  })
})

test('with an agent the value goes to it, in the body', async () => {
  const surface = new FakeSurface()
  keepCluster({ ...cluster([WEB]), nodes: [{ name: 'a', address: '127.0.0.1', zone: 'a', region: 'r' }] })
  api = await serveApi({ surface, host: '127.0.0.1', port: 0, token: state.keepToken() })
  const spec = {
    ...cluster([WEB]),
    apiPort: api.port,
    nodes: [{ name: 'a', address: '127.0.0.1', zone: 'a', region: 'r' }],
  }
  keepCluster(spec)
  await command('secret set db-password', pieces(VALUE))
  expect(surface.secrets.values.get('db-password')).toBe(VALUE)
  expect(surface.asked).toEqual(['set secret db-password'])
  expect((await command('secret list --json')).text).toContain('"db-password"')
  expect((await command('secret rm db-password')).code).toBe(0)
  expect(surface.secrets.values.size).toBe(0)
})
