import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { until } from '../../test/support/door.ts'
import type { RoutingTable } from '../core/routing-table.ts'
import { readTable } from './read-table.ts'
import { readSaved, Saver } from './saved-table.ts'

const table: RoutingTable = {
  version: 3,
  node: 'a',
  routes: [
    {
      service: 'web',
      protocol: 'http',
      purpose: 'serving',
      host: '127.0.0.1',
      port: 8080,
      holdMs: 5_000,
      probe: { path: '/healthz', everyMs: 250, timeoutMs: 250 },
      peers: [],
      readOnly: null,
      targets: [{ id: 'x', node: 'a', host: '127.0.0.1', port: 9, state: 'serving', term: 4 }],
    },
  ],
}

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'understudy-saved-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

test('the newest of many is what is read back', async () => {
  const path = join(folder, 'deeper', 'door.json')
  const failures: unknown[] = []
  const saver = new Saver(path, (error) => failures.push(error))
  for (let version = 1; version <= 50; version++) saver.save({ table: { ...table, version }, highestTerms: { web: 4 } })
  await until('the last one is written', () => readSaved(path)?.table.version === 50)
  expect(readSaved(path)).toEqual({ table: { ...table, version: 50 }, highestTerms: { web: 4 } })
  expect(failures).toEqual([])
})

test('a path that cannot be written is told and does no other harm', async () => {
  writeFileSync(join(folder, 'file'), '')
  const failures: unknown[] = []
  const saver = new Saver(join(folder, 'file', 'door.json'), (error) => failures.push(error))
  saver.save({ table, highestTerms: {} })
  await until('it is told', () => failures.length === 1)
})

test('only what is absent is nothing; what is cut short or of another kind is refused', () => {
  const path = join(folder, 'door.json')
  expect(readSaved(path)).toBeUndefined()
  for (const content of ['', '{"table":', '[]', '{"table":{"version":1}}', '7']) {
    writeFileSync(path, content)
    expect(() => readSaved(path)).toThrow(`${path} cannot be used`)
  }
})

test('a table that is not whole is refused with a sentence', () => {
  expect(readTable(table)).toEqual(table)
  const [route] = table.routes
  const withRoute = (changes: object): unknown => ({ ...table, routes: [{ ...route, ...changes }] })
  expect(readTable(null)).toBe('not a routing table')
  expect(readTable(withRoute({ port: 70_000 }))).toMatch(/host and port/)
  expect(readTable(withRoute({ protocol: 'udp' }))).toMatch(/protocol/)
  expect(readTable(withRoute({ targets: [{ id: 'x' }] }))).toMatch(/target/)
  expect(readTable(withRoute({ probe: { path: '/a b', everyMs: 1, timeoutMs: 1 } }))).toMatch(/probe/)
  expect(readTable(withRoute({ probe: { path: '/a\r\nX: y', everyMs: 1, timeoutMs: 1 } }))).toMatch(/probe/)
  const probe = { path: '/', everyMs: 1, timeoutMs: 1, status: [[200, 299] as const], https: { servername: 'a.b' } }
  expect(readTable(withRoute({ probe: { ...probe, headers: { Host: 'a.b' } } }))).toMatchObject({
    version: expect.any(Number),
  })
  expect(readTable(withRoute({ probe: { ...probe, headers: { Host: 'a.b\r\nX: y' } } }))).toMatch(/probe/)
})
