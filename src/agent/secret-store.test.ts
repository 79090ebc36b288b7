/** Secrets in the store, and what an enemy who can write there achieves: nothing opens that was not sealed under its name. */
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { cluster, peer, view, web } from '../../test/made-up.ts'
import { unwritten } from '../core/config-record.ts'
import type { SecretRecord } from '../core/records.ts'
import type { SealedSecret } from '../core/secrets.ts'
import { VirtualClock } from '../lib/virtual-clock.ts'
import { MemoryCluster } from '../stores/memory.ts'
import type { Store } from '../stores/store.ts'
import { AgentSecretSurface } from './agent-secret-surface.ts'
import { KEY } from './agreed-records.ts'
import { MOST_SECRET_BYTES, openSecret, removeSecret, secretsIn, setSecret } from './secret-store.ts'
import { keepSecretsKey, readSecretsKey } from './secrets-key.ts'

const WHO = { at: 1_000, by: 'ann@host' }
const uses = (name: string) => cluster([web({ options: { env: { PASSWORD: { $secret: name } } } })])

let folder: string
let keyFile: string
let store: Store
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'understudy-secrets-'))
  keyFile = join(folder, 'secrets.key')
  store = new MemoryCluster({ clock: new VirtualClock() }).open()
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const set = (name: string, value: string) => setSecret({ store, keyFile }, name, value, WHO)
const recordOf = async (name: string) => {
  const entry = (await store.read(KEY.secret(name))).entries.get(KEY.secret(name))
  return { ...(entry?.value as SecretRecord & SealedSecret), revision: entry?.revision ?? 0 }
}
const open = async (name: string) => openSecret(keyFile, name, await recordOf(name))
const overwrite = (name: string, value: unknown, revision: number) =>
  store.swap([{ key: KEY.secret(name), revision }], [{ key: KEY.secret(name), value }])

describe('setting', () => {
  test('is refused while a node would not act on it, when a service uses the secret', async () => {
    const present = view({ cluster: uses('used'), peers: { b: peer('b') } }) // which says no protocol
    const agent = { view: present, config: unwritten(uses('used'), { run: 'r' }), announce: async () => undefined }
    const surface = new AgentSecretSurface({ agent, store, keyFile })
    await expect(surface.set('used', { value: 'x' })).rejects.toMatchObject({
      code: 'UND_TOO_OLD',
      message: expect.stringContaining('b runs an earlier version of Understudy'),
    })
    expect(secretsIn(await store.read(''))).toEqual([])
    expect(await surface.set('unused', { value: 'x' })).toMatchObject({ version: 1 })
  })

  test('seals the value, counts versions, and says who and when', async () => {
    expect(await set('db-password', 'hunter2')).toEqual({ version: 1, changed: true })
    expect(await set('db-password', 'hunter3')).toEqual({ version: 2, changed: true })
    expect(await open('db-password')).toBe('hunter3')
    expect(secretsIn(await store.read(''))).toEqual([{ name: 'db-password', version: 2, ...WHO }])
    expect(JSON.stringify([...(await store.read('')).entries])).not.toContain('hunter')
  })

  test('the same value once more is no new version: nothing is restarted for it', async () => {
    await set('db-password', 'hunter2')
    expect(await set('db-password', 'hunter2')).toEqual({ version: 1, changed: false })
  })

  test('of two at once one is refused, and the value is that of the other', async () => {
    const answers = await Promise.allSettled([set('db-password', 'one'), set('db-password', 'other')])
    expect(answers.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    expect(await recordOf('db-password')).toMatchObject({ version: 1 })
  })

  test.each([
    ['an empty value', ''],
    ['a zero byte', 'a\0b'],
    ['half a character', 'a\ud800'],
    ['too much', 'x'.repeat(MOST_SECRET_BYTES + 1)],
  ])('refuses %s without showing it', async (_, value) => {
    const error = await set('db-password', value).catch((cause: Error) => cause)
    expect(error).toMatchObject({ code: 'UND_BAD_REQUEST', message: expect.stringContaining('cannot be used') })
    expect((await store.read('')).entries.size).toBe(0)
  })

  test.each(['', 'Db', '1a', 'a/b', '../config', 'a b', 'x'.repeat(64)])('refuses the name %j', async (name) => {
    await expect(set(name, 'hunter2')).rejects.toMatchObject({ code: 'UND_BAD_REQUEST' })
  })

  test('takes as much as it says', async () => {
    await set('big', 'ä'.repeat(MOST_SECRET_BYTES / 2))
    expect(await open('big')).toHaveLength(MOST_SECRET_BYTES / 2)
  })
})

describe('an enemy who can write in the store', () => {
  test('cannot put the record of one secret in the place of another', async () => {
    await set('db-password', 'hunter2')
    await set('public', 'hello')
    const [secret, other] = [await recordOf('db-password'), await recordOf('public')]
    await overwrite('public', { ...secret, revision: undefined }, other.revision)
    await expect(open('public')).rejects.toMatchObject({ code: 'UND_REFUSED' })
  })

  test('cannot set a value back by calling it newer', async () => {
    await set('db-password', 'old')
    const old = await recordOf('db-password')
    await set('db-password', 'new')
    const { revision } = await recordOf('db-password')
    await overwrite('db-password', { ...old, version: 3 }, revision)
    await expect(open('db-password')).rejects.toMatchObject({ code: 'UND_REFUSED' })
  })

  test('cannot seal with a key of their own', async () => {
    await set('db-password', 'hunter2')
    const theirs = { store, keyFile: join(folder, 'their.key') }
    const elsewhere = new MemoryCluster({ clock: new VirtualClock() }).open()
    await setSecret({ ...theirs, store: elsewhere }, 'db-password', 'theirs', WHO)
    const entry = (await elsewhere.read('')).entries.get(KEY.secret('db-password'))
    await overwrite('db-password', entry?.value, (await recordOf('db-password')).revision)
    await expect(open('db-password')).rejects.toMatchObject({ message: expect.stringContaining('another key') })
  })
})

describe('removing', () => {
  test('is refused while the config uses it, and as long as only the kept one is known', async () => {
    await set('db-password', 'hunter2')
    const removal = () => removeSecret({ store }, 'db-password', WHO, uses('db-password'))
    await expect(removal()).rejects.toMatchObject({ code: 'UND_REFUSED', message: expect.stringContaining('web uses') })
    const config = unwritten(uses('db-password'), { run: 'r' })
    await store.swap([{ key: KEY.config, revision: 0 }], [{ key: KEY.config, value: config }])
    await expect(removeSecret({ store }, 'db-password', WHO)).rejects.toMatchObject({ code: 'UND_REFUSED' })
    expect(await open('db-password')).toBe('hunter2')
  })

  test('deletes the value and keeps the version: the next value is no earlier one', async () => {
    await set('db-password', 'hunter2')
    await removeSecret({ store }, 'db-password', WHO)
    expect(secretsIn(await store.read(''))).toEqual([])
    expect((await recordOf('db-password')).sealed).toBeUndefined()
    expect(await set('db-password', 'hunter2')).toEqual({ version: 2, changed: true })
  })

  test('of one that is not there names those that are', async () => {
    await set('token', 'x')
    await expect(removeSecret({ store }, 'tokn', WHO)).rejects.toMatchObject({
      message: expect.stringContaining('token'),
    })
  })
})

describe('the key of the nodes', () => {
  test('is made once, for its owner only', () => {
    const key = keepSecretsKey(keyFile)
    expect(statSync(keyFile).mode & 0o777).toBe(0o600)
    expect(keepSecretsKey(keyFile)).toEqual(key)
    expect(readSecretsKey(keyFile)).toEqual(key)
  })

  test('that is damaged is refused and left as it is', async () => {
    await set('db-password', 'hunter2')
    const damaged = readFileSync(keyFile, 'utf8').slice(0, 20)
    writeFileSync(keyFile, damaged)
    for (const attempt of [() => open('db-password'), () => set('db-password', 'x')])
      await expect(attempt()).rejects.toMatchObject({ code: 'UND_STATE_UNREADABLE' })
    expect(readFileSync(keyFile, 'utf8')).toBe(damaged)
  })

  test.skipIf(process.getuid?.() === 0)('that cannot be read is refused', async () => {
    await set('db-password', 'hunter2')
    chmodSync(keyFile, 0)
    await expect(set('db-password', 'x')).rejects.toMatchObject({ code: 'UND_STATE_UNREADABLE' })
  })

  test('that is missing is not made anew while something is sealed with it', async () => {
    await set('db-password', 'hunter2')
    rmSync(keyFile)
    await expect(set('other', 'x')).rejects.toMatchObject({ code: 'UND_STATE_UNREADABLE' })
    await expect(open('db-password')).rejects.toMatchObject({ message: expect.stringContaining(keyFile) })
    expect(existsSync(keyFile)).toBe(false)
  })

  test('of another cluster opens nothing, and the sentence says so', async () => {
    await set('db-password', 'hunter2')
    rmSync(keyFile)
    keepSecretsKey(keyFile)
    await expect(open('db-password')).rejects.toMatchObject({ message: expect.stringContaining('another key') })
    expect(await set('db-password', 'hunter2')).toEqual({ version: 2, changed: true })
    expect(await open('db-password')).toBe('hunter2')
  })
})
