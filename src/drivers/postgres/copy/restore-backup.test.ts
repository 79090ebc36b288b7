import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { copyChecked } from './restore-backup.ts'

let root = ''
const from = () => join(root, 'from')
const to = () => join(root, 'to')

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'understudy-restore-'))
  mkdirSync(join(from(), 'base'), { recursive: true })
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

const sumOf = (text: string) => createHash('sha256').update(text).digest('hex')

test('a file of a backup is copied, and refused when it is not what was written', async () => {
  writeFileSync(join(from(), 'base/1'), 'abc')
  const { signal } = new AbortController()
  expect(await copyChecked(from(), to(), { path: 'base/1', sha256: sumOf('abc') }, signal)).toBe(3)
  const other = { path: 'base/1', sha256: sumOf('abd') }
  await expect(copyChecked(from(), to(), other, signal)).rejects.toThrow(/the backup is damaged: .*base\/1/)
})

test('a signal ends a restore within a file', async () => {
  const size = 2 ** 28 // of nothing: it takes no room
  writeFileSync(join(from(), 'base/1'), '')
  truncateSync(join(from(), 'base/1'), size)
  const ending = new AbortController()
  const copying = copyChecked(from(), to(), { path: 'base/1', sha256: '' }, ending.signal)
  setImmediate(() => ending.abort())
  await expect(copying).rejects.toThrow(/aborted/)
  expect(statSync(join(to(), 'base/1'), { throwIfNoEntry: false })?.size ?? 0).toBeLessThan(size)
}, 60_000)
