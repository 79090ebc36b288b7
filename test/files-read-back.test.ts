/**
 * Every file that is read back, damaged at each byte length: what is left of it is never taken for blank, the refusal names
 * the file, and the file is left as it is. docs/decisions/0005-files-read-back.md says what each one means.
 */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { claimNode } from '../src/agent/claim-node.ts'
import { ownCertificate } from '../src/agent/own-certificate.ts'
import { RecordFile as RecordLog } from '../src/agent/record-file.ts'
import { isEventRecord } from '../src/agent/record-shapes.ts'
import { keepSecretsKey, readSecretsKey } from '../src/agent/secrets-key.ts'
import { readSaved } from '../src/balancer/saved-table.ts'
import { unwritten } from '../src/core/config-record.ts'
import { giveOrder, restoreOrder } from '../src/drivers/postgres/copy/restore-backup.ts'
import { RecordFile } from '../src/drivers/postgres/files/durable-record.ts'
import { Folder } from '../src/drivers/postgres/files/replica-folder.ts'
import { findPostmaster, portInUse } from '../src/drivers/postgres/server/postmaster.ts'
import { readRecord, writeRecord } from '../src/drivers/process/instance-record.ts'
import { bootId } from '../src/lib/boot.ts'
import { systemClock } from '../src/lib/clock.ts'
import { writeFileAtomic } from '../src/lib/files.ts'
import { readIdentityFile } from '../src/lib/identity-file.ts'
import { identify } from '../src/lib/proc.ts'
import { StateFolder } from '../src/local/cluster-folder.ts'
import { unreadableIn } from '../src/local/node-processes.ts'
import { claim, claimHolder } from '../src/local/up-claim.ts'
import { cluster } from './made-up.ts'
import { until } from './support/door.ts'

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'understudy-files-'))
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

const rule = { term: 7, primary: 'a', standbys: ['b', 'c'], k: 1, id: '0123456789abcdef' }
const node = { name: 'a', address: '127.0.0.1', zone: 'z', region: 'r' }

interface Kept {
  /** Writes a good one below `root` and returns where it is. */
  write(): string | Promise<string>
  /** Reads it as the program does; throws when it cannot be used. */
  read(path: string): unknown
  /** Throws or changes something when it is blank; undefined: nothing is written on the strength of a read. */
  writeAgain?(path: string): unknown
}

const folderOf = () => new Folder(join(root, 'nodes/a'), 'db', null, null)
const state = () => new StateFolder(join(root, 'state'))

const FILES: Readonly<Record<string, Kept>> = {
  'a replica’s record (replica.json)': {
    write() {
      const file = new RecordFile(join(root, 'replica.json'))
      file.load()
      file.change({ pledged: 7, torn: true, leading: rule, quarantinedUntil: '123', port: 5_433 })
      return join(root, 'replica.json')
    },
    read: (path) => new RecordFile(path).load(),
    writeAgain(path) {
      const file = new RecordFile(path)
      file.load()
      file.change({ port: 5_555 })
    },
  },
  'the order to restore (restore.json)': {
    write() {
      giveOrder(folderOf(), { from: '/backups/monday', version: 18, sums: 'abc' })
      return folderOf().restorePath
    },
    read: () => restoreOrder(folderOf()),
  },
  'an instance file (instances/web.json)': {
    write() {
      const path = join(root, 'instances/web.json')
      const identity = identify(process.pid) ?? { pid: 2, startTime: 1 }
      const told = { role: 'primary', term: 7, told: true, port: 80, note: '' } as const
      const times = { startedAtMono: 1, failures: 0, retryAtMono: 0, wasHealthy: true }
      writeRecord(path, { bootId: bootId(), phase: 'open', identity, ...told, ...times })
      return path
    },
    read: readRecord,
  },
  'an identity file (agent.json)': {
    write() {
      writeFileAtomic(join(root, 'agent.json'), JSON.stringify(identify(process.pid)))
      return join(root, 'agent.json')
    },
    read: readIdentityFile,
    writeAgain: (path) => claimNode(dirname(path)),
  },
  'the claim of `up` (up.json)': {
    write() {
      claim(join(root, 'up.json'))
      return join(root, 'up.json')
    },
    read: claimHolder,
    writeAgain: (path) => claim(path),
  },
  'the cluster (cluster.json)': {
    write() {
      state().create()
      state().writeCluster({ config: unwritten(cluster([], ['a']), { run: 'r' }), run: 'r', version: '0' })
      return state().clusterFile
    },
    read: () => state().readCluster(),
  },
  'the token': {
    write() {
      state().create()
      state().keepToken()
      return state().tokenFile
    },
    read: () => state().readToken(),
    writeAgain: () => state().keepToken(),
  },
  'the key of the nodes (secrets.key)': {
    write() {
      state().create()
      keepSecretsKey(state().secretsKeyFile)
      return state().secretsKeyFile
    },
    read: readSecretsKey,
    writeAgain: keepSecretsKey,
  },
  'the last table of a balancer (balancer-saved.json)': {
    write() {
      writeFileAtomic(
        join(root, 'saved.json'),
        JSON.stringify({ table: { version: 3, node: 'a', routes: [] }, highestTerms: { web: 4 } }),
      )
      return join(root, 'saved.json')
    },
    read: readSaved,
  },
}

/** The lengths at which what is left says the same: a newline at the end is not missed. */
const whole = (bytes: Buffer) => bytes.toString('utf8').trimEnd().length

describe.each(Object.entries(FILES))('%s', (_, { write, read, writeAgain }) => {
  test('cut at each length it is refused by its name, and left as it is', async () => {
    const path = await write()
    const good = readFileSync(path)
    expect(read(path)).toBeDefined()
    for (let length = 0; length < whole(good); length += 1) {
      writeFileSync(path, good.subarray(0, length))
      expect(() => read(path), `${length} bytes of it`).toThrow(`${path} cannot be used`)
      if (writeAgain) expect(() => writeAgain(path), `${length} bytes of it`).toThrow(`${path} cannot be used`)
      expect(readFileSync(path)).toEqual(good.subarray(0, length))
    }
    writeFileSync(path, good)
    expect(read(path)).toBeDefined()
  })

  test('full of zeros, of another kind, a folder in its place, of a newer version: refused', async () => {
    const path = await write()
    const good = readFileSync(path)
    const newer = JSON.stringify({ ...JSON.parse(good[0] === 0x7b ? good.toString() : '{}'), format: 99 })
    for (const text of ['\0'.repeat(good.length), '[]', 'null', '7', newer]) {
      writeFileSync(path, text)
      expect(() => read(path), text.slice(0, 40)).toThrow(`${path} cannot be used`)
    }
    rmSync(path)
    mkdirSync(path)
    expect(() => read(path)).toThrow(`${path} cannot be used`)
  })

  test('fields that a later version added are ignored', async () => {
    const path = await write()
    const good = readFileSync(path)
    if (good[0] !== 0x7b) return // the token: it has no fields
    const before = read(path)
    writeFileSync(path, JSON.stringify({ ...JSON.parse(good.toString()), fromTheFuture: { x: [1] } }))
    expect(read(path)).toMatchObject(before as object)
  })

  test('that it does not exist is the only thing that is blank', async () => {
    const path = await write()
    rmSync(path)
    expect(() => read(path)).not.toThrow()
  })
})

test('fields of a replica’s record that this version does not know are kept', () => {
  const path = join(root, 'replica.json')
  writeFileSync(path, JSON.stringify({ pledged: 7, fromTheFuture: [1] }))
  const file = new RecordFile(path)
  expect(file.load()).toMatchObject({ pledged: 7, torn: false })
  file.change({ port: 1 })
  expect(JSON.parse(readFileSync(path, 'utf8'))).toMatchObject({ pledged: 7, port: 1, fromTheFuture: [1] })
})

test('a certificate or a key that is damaged is not replaced: clients may have pinned it', async () => {
  const now = Date.now()
  await ownCertificate(root, node, now)
  for (const name of ['cert.pem', 'key.pem']) {
    const path = join(root, name)
    const good = readFileSync(path)
    for (const length of [0, 1, 40, Math.floor(good.length / 2), good.length - 30]) {
      writeFileSync(path, good.subarray(0, length))
      await expect(ownCertificate(root, node, now), `${length} bytes of ${name}`).rejects.toThrow(
        `${path} cannot be used`,
      )
      expect(readFileSync(path)).toEqual(good.subarray(0, length))
    }
    writeFileSync(path, good)
  }
})

test('a pid file of PostgreSQL that cannot be read is not taken for “no server runs”', () => {
  const folder = folderOf()
  mkdirSync(join(folder.data, 'postmaster.pid'), { recursive: true })
  expect(() => findPostmaster(folder, systemClock)).toThrow('postmaster.pid cannot be used')
  expect(() => portInUse(folder)).toThrow('postmaster.pid cannot be used')
})

test('a node with an identity file that cannot be used is not one where nothing runs', () => {
  mkdirSync(join(root, 'instances/db'), { recursive: true })
  expect(unreadableIn(root)).toBeUndefined()
  writeFileSync(join(root, 'instances/web.json'), '{"identity":{"pid":1')
  expect(unreadableIn(root)?.message).toContain('instances/web.json cannot be used')
})

test('a history gives what is whole of it, adds to it on a line of its own, and is not empty because it cannot be read', async () => {
  const path = join(root, 'events.ndjson')
  const event = (id: string) => ({
    id,
    at: 'now',
    node: 'a',
    service: null,
    rule: 'agent',
    kind: 'told' as const,
    why: '',
  })
  const lines = `${JSON.stringify(event('1'))}\nnull\n7\n{"id":"half"}\n\0\0\n${JSON.stringify(event('2'))}\n`
  const cut = JSON.stringify(event('3'))
  for (let length = 0; length < cut.length; length += 1) {
    writeFileSync(path, lines + cut.slice(0, length))
    expect(new RecordLog(path, isEventRecord).last(9).map(({ id }) => id)).toEqual(['1', '2'])
  }
  new RecordLog(path, isEventRecord).append(event('4'))
  await until('it is written', () => readFileSync(path, 'utf8').endsWith('\n'))
  expect(new RecordLog(path, isEventRecord).last(9).map(({ id }) => id)).toEqual(['1', '2', '4'])
  rmSync(path)
  mkdirSync(path)
  expect(() => new RecordLog(path, isEventRecord).last(9)).toThrow(`${path} cannot be used`)
})

test('a write that fails leaves the old content, and nothing beside it', () => {
  const path = join(root, 'x.json')
  writeFileAtomic(path, 'old')
  rmSync(path)
  mkdirSync(path) // nothing can be renamed over a folder
  chmodSync(root, 0o755)
  expect(() => writeFileAtomic(path, 'new')).toThrow()
  expect(existsSync(`${path}.${process.pid}.new`)).toBe(false)
})
