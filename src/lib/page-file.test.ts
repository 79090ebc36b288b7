import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { PageFile } from './page-file.ts'

let folder: string
let path: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'understudy-page-'))
  path = join(folder, 'saved.json')
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const read = () => JSON.parse(readFileSync(path, 'utf8')) as unknown

test('a short text is rewritten in place, in one page that its owner alone can read', async () => {
  const file = new PageFile(path)
  await file.write('["a long one"]\n')
  const { ino } = statSync(path)
  for (const text of ['[1]\n', '["longer again"]\n']) {
    await file.write(text)
    expect(read()).toEqual(JSON.parse(text))
  }
  expect(statSync(path)).toMatchObject({ ino, size: 4_096, mode: 0o100600 })
})

test('a text that grows over a page and shrinks again is whole each time', async () => {
  const file = new PageFile(path)
  for (const length of [1, 4_000, 5_000, 9_000, 10, 4_092, 4_094, 3]) {
    await file.write(JSON.stringify(['x'.repeat(length)]))
    expect(read()).toEqual(['x'.repeat(length)])
  }
})

test('a file that was removed is made again, and one that an earlier process left is replaced', async () => {
  await new PageFile(path).write(JSON.stringify('x'.repeat(9_000)))
  const file = new PageFile(path)
  await file.write('1')
  await file.write('2')
  rmSync(path)
  await file.write('3')
  expect(read()).toBe(3)
})
