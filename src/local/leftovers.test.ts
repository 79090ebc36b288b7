/** What was set aside is listed, and only what is named exactly, and is not in use, is deleted. */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { StateFolder } from './cluster-folder.ts'
import { listLeftovers, removeLeftover } from './leftovers.ts'

let root: string
let state: StateFolder
const children: ChildProcess[] = []

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'understudy-leftovers-'))
  state = new StateFolder(join(root, '.understudy'))
  state.create()
})

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  rmSync(root, { recursive: true })
})

function write(path: string, text: string): string {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
  return path
}

const instances = () => join(state.node('a'), 'instances')
const REMOVED = 'a/db/removed-20261129T014503Z'

/** A service that was removed, with data in a folder that its config had named. */
function removedService(): readonly string[] {
  const base = join(instances(), 'db.removed-20261129T014503Z')
  const data = join(root, 'disk', 'shop.removed-20261129T014503Z')
  write(join(data, 'base', '1', '1259'), 'x'.repeat(5_000))
  write(join(base, 'replica.json'), '{}')
  write(join(base, 'set-aside.json'), JSON.stringify({ service: 'db', date: '20261129T014503Z', places: [data] }))
  return [base, data]
}

test('data of removed services, data that was replaced and WAL that was given up, with the date, the size and the place', async () => {
  const places = removedService()
  const live = join(instances(), 'web-db')
  write(join(live, 'data', 'PG_VERSION'), '15')
  write(join(live, 'data.understudy-set-aside', 'PG_VERSION'), '15')
  write(join(live, 'discarded', '2026-11-28T235959-term2-timeline3', 'divergence.json'), '{}')
  write(join(instances(), 'web-db.json'), '{}')
  const all = await listLeftovers(state)
  expect(all.map(({ name, kind, bytes }) => [name, kind, bytes > 0])).toEqual([
    [REMOVED, 'removed', true],
    ...[
      ['a/web-db/discarded-2026-11-28T235959-term2-timeline3', 'discarded', true],
      ['a/web-db/replaced', 'replaced', true],
    ],
  ])
  expect(all[0]).toMatchObject({ at: '2026-11-29T01:45:03.000Z', node: 'a', service: 'db', places })
  expect(all[0]?.bytes).toBeGreaterThan(5_000)
})

test('the data of a node that the config does not name any more', async () => {
  const spec = { name: 'shop', nodes: [{ name: 'b' }], services: [] }
  const config = { number: 2, spec, leaving: [], removed: [] }
  write(state.clusterFile, JSON.stringify({ config, run: 'r', version: '0' }))
  const base = join(instances(), 'db')
  write(join(base, 'replica.json'), '{}')
  expect(await listLeftovers(state)).toMatchObject([{ name: 'a/db/node', kind: 'node', places: [base] }])
})

test('one is deleted by its exact name, with all its places', async () => {
  const places = removedService()
  await expect(removeLeftover(state, 'a/db')).rejects.toMatchObject({
    code: 'UND_BAD_REQUEST',
    message: `no leftover has the name “a/db” (there are: ${REMOVED})`,
  })
  expect(await removeLeftover(state, REMOVED)).toMatchObject({ name: REMOVED })
  for (const place of places) expect(existsSync(place)).toBe(false)
  expect(await listLeftovers(state)).toEqual([])
})

test('nothing is deleted that a process stands in', async () => {
  const [, data = ''] = removedService()
  const child = spawn('sleep', ['60'], { cwd: join(data, 'base') })
  children.push(child)
  await new Promise((resolve) => child.once('spawn', resolve))
  const why = expect.stringContaining(`process ${child.pid} stands in it`)
  await expect(removeLeftover(state, REMOVED)).rejects.toMatchObject({ code: 'UND_REFUSED', message: why })
  expect(existsSync(join(data, 'base', '1', '1259'))).toBe(true)
})

test('WAL that is being set aside is not deleted', async () => {
  write(join(instances(), 'db', 'discarded', 'now', '000000010000000000000001'), 'x')
  await expect(removeLeftover(state, 'a/db/discarded-now')).rejects.toMatchObject({ code: 'UND_REFUSED' })
})
