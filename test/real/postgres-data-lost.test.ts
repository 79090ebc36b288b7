/**
 * What becomes of a member whose data folder is taken away, damaged, or cannot be started from: what can be repaired is repaired
 * and told, anything else is copied anew, and no folder that may be the best copy is removed.
 *
 * Exercises: drivers/postgres. Engines: postgresql.
 */
import {
  appendFileSync,
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { isAlive } from '../../src/lib/proc.ts'
import { Trio } from './postgres-trio.ts'

let trio: Trio | undefined

/** Then a server that wants them would start. */
const hasHugePages = !/^HugePages_Total:\s+0$/m.test(readFileSync('/proc/meminfo', 'utf8'))

afterEach(async () => {
  await trio?.end()
  trio = undefined
})

async function begin(): Promise<Trio> {
  trio = new Trio()
  await trio.begin()
  await trio.rows('a', 'create table kept as select n from generate_series(1, 1000) n')
  return trio
}

/** What the core does with a standby that is not healthy: it is ended, and told to follow until it does. */
async function repairedByCore(t: Trio, node: string, primary = 'a', term = 1): Promise<void> {
  await t.until(`${node} to be unhealthy or down`, () => {
    const { state, health } = t.observe(node)
    return state === 'stopped' || health === 'unhealthy'
  })
  await t.driver(node).kill()
  await followsAgain(t, node, primary, term)
}

async function followsAgain(t: Trio, node: string, primary = 'a', term = 1): Promise<void> {
  let last: unknown
  const tried = async () => {
    try {
      await t.driver(node).follow(t.quorum(term, primary), t.address(primary))
      return true
    } catch (error) {
      last = error
      return false
    }
  }
  for (let tries = 0; tries < 6; tries += 1) if (await tried()) break
  if (t.observe(node).state !== 'running') throw last
  await t.until(`${node} to be healthy and to count`, () => {
    const { health, replica } = t.observe(node)
    return health === 'healthy' && !replica.quarantined
  })
  expect(await t.rows(node, 'select count(*)::int as n from kept')).toEqual([{ n: 1_000 }])
}

test('rm -rf of the data folder of a standby that runs: it is unhealthy with the reason, and cloned anew', async () => {
  const t = await begin()
  const { pid = 0, startTime = 0 } = t.observe('b')
  rmSync(t.dataOf('b'), { recursive: true, force: true })
  await t.until('it to be told', () => t.observe('b').state === 'stopped' || /is gone/.test(t.observe('b').note))
  await repairedByCore(t, 'b')
  expect(isAlive({ pid, startTime }), 'the server that outlived its folder').toBe(false)
}, 120_000)

test('a data folder that was moved away and back is used again', async () => {
  const t = await begin()
  const away = `${t.dataOf('b')}.away`
  renameSync(t.dataOf('b'), away)
  await t.until('it to be told', () => /was moved to|is gone/.test(t.observe('b').note))
  await t.restartAgent('b')
  expect(t.observe('b').pid, 'the next agent finds it, too').toBeDefined()
  renameSync(away, t.dataOf('b'))
  await t.until('it to be healthy', () => t.observe('b').health === 'healthy')
}, 120_000)

test('a data folder that was moved away is copied anew, and what was moved stays where it is', async () => {
  const t = await begin()
  const { pid = 0, startTime = 0 } = t.observe('b')
  const away = `${t.dataOf('b')}.away`
  renameSync(t.dataOf('b'), away)
  await repairedByCore(t, 'b')
  expect(isAlive({ pid, startTime })).toBe(false)
  expect(existsSync(join(away, 'PG_VERSION'))).toBe(true)
}, 120_000)

test.each([
  ['PG_VERSION is empty', (data: string) => writeFileSync(join(data, 'PG_VERSION'), '')],
  ['PG_VERSION is missing', (data: string) => rmSync(join(data, 'PG_VERSION'))],
  ['pg_notify is missing', (data: string) => rmSync(join(data, 'pg_notify'), { recursive: true })],
  ['postgresql.conf is missing', (data: string) => rmSync(join(data, 'postgresql.conf'))],
  ['its rights are gone', (data: string) => chmodSync(data, 0o000)],
  ['it belongs to another user', (data: string) => process.getuid?.() === 0 && chownSync(data, 12_345, 12_345)],
])(
  '%s: repaired and told, and not copied',
  async (_, spoil) => {
    const t = await begin()
    await t.driver('b').kill()
    writeFileSync(join(t.dataOf('b'), 'seen-before'), '')
    spoil(t.dataOf('b'))
    await t.restartAgent('b')
    await followsAgain(t, 'b')
    expect(existsSync(join(t.dataOf('b'), 'seen-before')), 'the same folder').toBe(true)
  },
  120_000,
)

test('lines that the server cannot read in postgresql.auto.conf are taken out and told: on a standby, on a former primary', async () => {
  const t = await begin()
  const spoil = (node: string) => {
    const path = join(t.dataOf(node), 'postgresql.auto.conf')
    appendFileSync(path, "work_mem = '7MB'\nthis is no setting\nno_such_setting = 3\nmaintenance_work_mem = 'much'\n")
  }
  spoil('b') // while it runs: it would heed neither a fence nor a new primary
  await t.until('it to be told', () => t.observe('b').note.includes('this is no setting'))
  await t.driver('b').kill()
  await followsAgain(t, 'b')
  expect(t.observe('b').note).toContain('no_such_setting')
  expect(await t.rows('b', 'show work_mem')).toEqual([{ work_mem: '7MB' }])
  await t.driver('a').kill()
  spoil('a')
  const { leader } = await t.failOver(2)
  await followsAgain(t, 'a', leader, 2)
  expect(await t.rows('a', 'show work_mem')).toEqual([{ work_mem: '7MB' }])
}, 120_000)

test.each([
  ['global/pg_control', (data: string) => rmSync(join(data, 'global', 'pg_control'))],
  ['global/pg_filenode.map', (data: string) => rmSync(join(data, 'global', 'pg_filenode.map'))],
  ['the files of a catalog', (data: string) => rmSync(join(data, 'base', '5', '1259'), { force: true })],
])(
  '%s of a standby is missing: after some tries it is cloned anew',
  async (_, spoil) => {
    const t = await begin()
    await t.driver('b').kill()
    writeFileSync(join(t.dataOf('b'), 'seen-before'), '')
    const databases = readdirSync(join(t.dataOf('b'), 'base')).filter((name) => name !== 'pgsql_tmp')
    spoil(t.dataOf('b'))
    if (!databases.includes('5'))
      for (const oid of databases) rmSync(join(t.dataOf('b'), 'base', oid, '1259'), { force: true })
    for (let tries = 0; tries < 8 && existsSync(join(t.dataOf('b'), 'seen-before')); tries += 1) {
      await t
        .driver('b')
        .follow(t.quorum(1, 'a'), t.address('a'))
        .catch(() => {}) // it says why; the core tries again
      if (t.observe('b').state === 'running' && existsSync(join(t.dataOf('b'), 'seen-before'))) {
        await t.until(
          'it to be judged',
          () => t.observe('b').health === 'unhealthy' || t.observe('b').state === 'stopped',
        )
        await t.driver('b').kill()
      }
    }
    expect(existsSync(join(t.dataOf('b'), 'seen-before')), 'another folder').toBe(false)
    await followsAgain(t, 'b')
  },
  240_000,
)

test.skipIf(hasHugePages)(
  'a server that fails to start because the machine lacks shared memory is not cloned again',
  async () => {
    const t = await begin()
    await t.driver('b').kill()
    writeFileSync(join(t.dataOf('b'), 'seen-before'), '')
    const altered = join(t.dataOf('b'), 'postgresql.auto.conf')
    const before = readFileSync(altered)
    appendFileSync(altered, 'huge_pages = on\n')
    for (let tries = 0; tries < 5; tries += 1)
      await expect(t.driver('b').follow(t.quorum(1, 'a'), t.address('a'))).rejects.toThrow(/shared memory/)
    writeFileSync(altered, before)
    await followsAgain(t, 'b')
    expect(existsSync(join(t.dataOf('b'), 'seen-before')), 'the same folder').toBe(true)
  },
  120_000,
)

test('the data of a former primary that cannot be started is set aside and named, and not removed', async () => {
  const t = await begin()
  await t.driver('a').kill()
  const { leader } = await t.failOver(2)
  await t.driver('a').recruit(2)
  await t.driver('a').kill()
  rmSync(join(t.dataOf('a'), 'global', 'pg_filenode.map'))
  await followsAgain(t, 'a', leader, 2)
  expect(existsSync(join(`${t.dataOf('a')}.understudy-set-aside`, 'PG_VERSION'))).toBe(true)
  expect(t.observe('a').note).toContain('understudy-set-aside')
}, 240_000)

test('a primary whose data is gone ends when it is fenced, says nothing, and makes no empty database in its place', async () => {
  const t = await begin()
  const { pid = 0, startTime = 0 } = t.observe('a')
  rmSync(t.dataOf('a'), { recursive: true, force: true })
  await t.until('it to be told', () => t.observe('a').health === 'unhealthy' || t.observe('a').state === 'stopped')
  await expect(t.driver('a').create(t.quorum(1, 'a'))).resolves.toBeUndefined() // it runs still, and leads
  const { leader } = await t.failOver(2)
  await t.driver('a').recruit(2)
  expect(t.observe('a').replica.position).toBeNull()
  expect(isAlive({ pid, startTime })).toBe(false)
  await followsAgain(t, 'a', leader, 2)
}, 120_000)

test('the first copy that is gone is not made again out of nothing', async () => {
  const t = await begin()
  await t.driver('a').kill()
  rmSync(t.dataOf('a'), { recursive: true, force: true })
  await expect(t.driver('a').create(t.quorum(1, 'a'))).rejects.toThrow(/is gone: no empty one takes its place/)
  mkdirSync(join(t.dataOf('a'), 'base'), { recursive: true })
  await expect(t.driver('a').create(t.quorum(1, 'a'))).rejects.toThrow(/damaged/)
}, 120_000)
