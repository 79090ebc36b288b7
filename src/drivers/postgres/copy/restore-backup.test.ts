import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { DATA, RECORD, SUMS, sumsText } from './backup-files.ts'
import { copyBackupInto } from './bulk-work.ts'

let root = ''
const from = () => join(root, 'from')
const to = () => join(root, 'to')

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'understudy-restore-'))
  mkdirSync(join(from(), DATA, 'base'), { recursive: true })
  mkdirSync(to())
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

const sumOf = (text: string) => createHash('sha256').update(text).digest('hex')

/** A backup of one file. Returns what identifies it. */
function backup(text: string, listed = sumOf(text)): string {
  writeFileSync(join(from(), DATA, 'base/1'), text)
  const list = sumsText([{ path: 'base/1', sha256: listed }])
  writeFileSync(join(from(), SUMS), list)
  writeFileSync(
    join(from(), RECORD),
    JSON.stringify({ format: 1, folders: ['pg_notify'], bytes: 3, sums: sumOf(list) }),
  )
  return sumOf(list)
}

function restored(sums: string, signal = new AbortController().signal, progress = () => {}): Promise<void> {
  return copyBackupInto({ from: from(), to: to(), sums }, { signal, progress })
}

test('the files and folders of a backup are copied', async () => {
  await restored(backup('abc'))
  expect(readFileSync(join(to(), 'base/1'), 'utf8')).toBe('abc')
  expect(existsSync(join(to(), 'pg_notify'))).toBe(true)
})

test('a file that is not what was written is refused, and another backup in the same place', async () => {
  await expect(restored(backup('abc', sumOf('abd')))).rejects.toMatchObject({
    code: 'UND_REFUSED',
    message: expect.stringMatching(/the backup is damaged: .*base\/1/),
  })
  const first = backup('abc')
  backup('abd')
  await expect(restored(first)).rejects.toThrow(/is another backup than the one that was to be restored/)
})

test('a signal ends a restore within a file, and nothing is written after that', async () => {
  const size = 2 ** 32 // of nothing: it takes no room
  const sums = backup('')
  truncateSync(join(from(), DATA, 'base/1'), size)
  const ending = new AbortController()
  const copied = () => statSync(join(to(), 'base/1'), { throwIfNoEntry: false })?.size ?? 0
  const copying = restored(sums, ending.signal)
  const timer = setInterval(() => copied() > 0 && ending.abort(), 1)
  await expect(copying).rejects.toThrow(/aborted/)
  clearInterval(timer)
  const left = copied()
  expect(left).toBeLessThan(size)
  await new Promise((resolve) => setTimeout(resolve, 50))
  expect(copied()).toBe(left)
}, 60_000)
