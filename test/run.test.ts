/** What `npm test` runs: which files of real tests, in which order, and what it makes of a report. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { importsOf, readSources, type Source } from './house/source.ts'
import { declarationOf, ENGINES, planOf } from './run/real-files.mjs'
import { resultOf } from './run/vitest.mjs'

const root = join(import.meta.dirname, '..')
const sources = readSources(root, 'test')
const real = sources.filter(({ path }) => path.startsWith('test/real/') && path.endsWith('.test.ts'))

/** Small rooms without a life of their own; what imports them exercises something else. */
const ORDINARY = ['core', 'lib', 'errors.ts', 'config', 'agent', 'index.ts', 'testing.ts']

const says = (rooms: string, more = 'Engines: none.') => `/**\n * A test.\n *\n * Exercises: ${rooms}. ${more}\n */\n`

describe('every file of real tests names the rooms and engines that it exercises', () => {
  test.each(real.map((source) => [source.path, source] as const))('%s', (_, source) => {
    expect(complaints(source)).toEqual([])
  })

  test.each([
    ['nothing is said', 'test()', 1],
    ['a room that does not exist', says('attic'), 1],
    ['an engine that is not known', says('balancer', 'Engines: steam.'), 1],
    ['a room is imported and not named', `${says('cli')}import { x } from '../../src/balancer/x.ts'`, 1],
    ['a type of it changes nothing', `${says('cli')}import type { X } from '../../src/balancer/x.ts'`, 0],
    ['a part of a room is named', `${says('drivers/process')}import { x } from '../../src/drivers/process/x.ts'`, 0],
    ['PostgreSQL is used and not named', `${says('stores')}import { everyPostgres } from './engines.ts'`, 1],
  ])('%s', (_, text, count) => expect(complaints({ path: 'test/real/a.test.ts', text })).toHaveLength(count))
})

function complaints(source: Source): string[] {
  const said = declarationOf(source.text)
  if (!said) return ['its first comment lacks a line "Exercises: ROOMS. Engines: ENGINES."']
  const { rooms, engines } = said
  const imported = roomsImported(source).filter(
    (room) => !rooms.some((own) => own === room || own.startsWith(`${room}/`)),
  )
  const needsPostgres = reaches(source, 'test/real/engines.ts') && !engines.some((one) => one.startsWith('postgresql'))
  return [
    ...rooms.filter((room) => !existsSync(join(root, 'src', room))).map((room) => `there is no room ${room}`),
    ...engines.filter((engine) => !ENGINES.includes(engine)).map((engine) => `no such engine: ${engine}`),
    ...imported.map((room) => `it imports ${room} and does not name it`),
    ...(needsPostgres ? ['it starts PostgreSQL and does not name it'] : []),
  ]
}

function roomsImported(source: Source): string[] {
  const values = source.text.replaceAll(/^import type .*$/gm, '')
  const rooms = importsOf({ path: source.path, text: values }).flatMap(({ file }) => file?.split('/').slice(1, 2) ?? [])
  const src = rooms.filter((room) => existsSync(join(root, 'src', room)) && !ORDINARY.includes(room))
  return [...new Set(src)]
}

function reaches(source: Source, target: string, seen = new Set<string>()): boolean {
  return importsOf(source).some(({ file }) => {
    if (file === target) return true
    if (file === undefined || seen.has(file)) return false
    seen.add(file)
    const next = sources.find(({ path }) => path === file)
    return next !== undefined && reaches(next, target, seen)
  })
}

describe('the plan', () => {
  const files = [
    { path: 'test/real/up.test.ts', text: says('cli', 'Engines: none. Fast.') },
    { path: 'test/real/doors.test.ts', text: says('balancer') },
    { path: 'test/real/queue.test.ts', text: says('drivers/process') },
    { path: 'test/real/store.test.ts', text: says('stores') },
  ]
  const plan = (changed: string[] | null, day = 0) => planOf({ files, changed, day })

  test('the fast ones, then what exercises what changed, then the rest', () => {
    expect(plan(['src/balancer/http/connection-pool.ts'])).toEqual({
      fast: ['test/real/up.test.ts'],
      changed: ['test/real/doors.test.ts'],
      rest: ['test/real/queue.test.ts', 'test/real/store.test.ts'],
    })
  })

  test('the rest begins at another file each day, and none is left out', () => {
    expect(plan([], 1).rest).toEqual(['test/real/queue.test.ts', 'test/real/store.test.ts', 'test/real/doors.test.ts'])
    expect(new Set([0, 1, 2].map((day) => plan([], day).rest[0])).size).toBe(3)
  })

  test.each([
    ['a part of a room', 'src/drivers/process/spawn.ts', 1],
    ['another part of that room', 'src/drivers/postgres/verbs/promote-server.ts', 0],
    ['the core', 'src/core/decide.ts', 3],
    ['the dependencies', 'package-lock.json', 3],
    ['a file of real tests', 'test/real/queue.test.ts', 1],
    ['what real tests share', 'test/real/cluster.ts', 3],
    ['a unit test', 'src/balancer/pool.test.ts', 0],
    ['a page', 'docs/store.md', 0],
  ])('%s changed', (_, path, count) => expect(plan([path]).changed).toHaveLength(count))

  test('when it is not known what changed, everything did', () => {
    expect(plan(null)).toMatchObject({ changed: { length: 3 }, rest: [] })
  })

  test('a real failover of each kind is among the fast ones', () => {
    const tree = real.map(({ path, text }) => ({ path, text }))
    const { fast } = planOf({ files: tree, changed: [], day: 0 })
    for (const kind of ['web-faults', 'planned', 'worker-failover', 'postgres-cluster'])
      expect(fast).toContain(`test/real/${kind}.test.ts`)
  })
})

describe('a report', () => {
  const file = (status: string, assertionResults: unknown[]) => ({
    name: `${root}/test/a.test.ts`,
    status,
    assertionResults,
  })
  const report = (...testResults: unknown[]) => ({
    numPassedTests: 2,
    numPendingTests: 1,
    numTodoTests: 0,
    testResults,
  })
  const failure = { status: 'failed', fullName: 'a b', failureMessages: ['Error: x\n    at y'] }

  test('counts, and which file failed with what', () => {
    expect(resultOf(report(file('passed', []), file('failed', [failure, failure])), 1, root)).toEqual({
      passed: 2,
      failed: 2,
      skipped: 1,
      broken: [{ path: 'test/a.test.ts', failed: 2, test: 'a b', error: 'Error: x' }],
    })
  })

  test('a file that does not load is one failure', () => {
    expect(resultOf(report(file('failed', [])), 1, root)).toMatchObject({ failed: 1, broken: [{ failed: 1 }] })
  })

  test('no report, or a failure that no test reports, is a failure that no second run can take back', () => {
    expect(resultOf(null, 1, root)).toMatchObject({ failed: 1, broken: [] })
    expect(resultOf(report(file('passed', [])), 1, root)).toMatchObject({ failed: 1, broken: [] })
    expect(resultOf(null, 0, root)).toMatchObject({ failed: 0 })
  })
})

test('the last commit that landed is named', () => {
  expect(readFileSync(join(root, '.ci/landed'), 'utf8')).toMatch(/^[0-9a-f]{40}\n$/)
  expect(readdirSync(join(root, '.ci')).sort()).toEqual(['landed', 'run'])
})
