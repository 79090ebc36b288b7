import { execFileSync, spawn } from 'node:child_process'
import * as crypto from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import tar from 'tar-stream'
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { type Told, unpackInto } from './unpack-tar.ts'

vi.mock('node:crypto', async (original) => {
  const real = await original<typeof import('node:crypto')>()
  return { ...real, createHash: vi.fn(real.createHash) }
})

let target = ''

beforeEach(() => {
  target = mkdtempSync(join(tmpdir(), 'understudy-unpack-'))
})
afterEach(() => rmSync(target, { recursive: true, force: true }))

interface Entry {
  readonly name: string
  readonly text?: string
  readonly type?: 'symlink'
}

async function archive(...entries: Entry[]): Promise<Buffer> {
  const pack = tar.pack()
  for (const { name, text = '', type } of entries) {
    if (type) pack.entry({ name, type, linkname: '/etc' })
    else pack.entry({ name }, text)
  }
  pack.finalize()
  const chunks: Buffer[] = []
  for await (const chunk of pack) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

const openFiles = () =>
  readdirSync('/proc/self/fd')
    .map((fd) => `/proc/self/fd/${fd}`)
    .filter((fd) => existsSync(fd) && readlinkSync(fd).startsWith(target))

test('what is in the archive is in the folder, and told', async () => {
  const told: string[] = []
  const unpacking = unpackInto(target, { file: ({ path, bytes }) => told.push(`${path} ${bytes}`) })
  unpacking.write(await archive({ name: 'base/1/2', text: 'abc' }, { name: 'PG_VERSION', text: '15\n' }))
  unpacking.end()
  await unpacking.done
  expect(told).toEqual(['base/1/2 3', 'PG_VERSION 3'])
  expect(readFileSync(join(target, 'base/1/2'), 'utf8')).toBe('abc')
  await vi.waitFor(() => expect(openFiles()).toEqual([]))
})

test('checksums are made only when they are asked for', async () => {
  const bytes = await archive({ name: 'base/1/2', text: 'abc' })
  const made = async (told: Told) => {
    vi.mocked(crypto.createHash).mockClear()
    const unpacking = unpackInto(target, told)
    unpacking.write(bytes)
    unpacking.end()
    await unpacking.done
    return vi.mocked(crypto.createHash).mock.calls.length
  }
  expect([await made({ folder: () => {} }), await made({ file: () => {} })]).toEqual([0, 1])
})

test.each([
  ['is outside', { name: '../outside', text: 'x' }, /outside the archive/],
  ['is a link', { name: 'pg_tblspc/1', type: 'symlink' as const }, /link pg_tblspc\/1/],
  ['cannot be opened', { name: 'folder', text: 'x' }, /EISDIR/],
])('an entry that %s fails the whole, and nothing else', async (_, entry, why) => {
  mkdirSync(join(target, 'folder'))
  const unpacking = unpackInto(target)
  unpacking.write(await archive(entry))
  await expect(unpacking.failed).rejects.toThrow(why)
  await expect(unpacking.done).rejects.toThrow(why)
  expect(existsSync(join(target, '../outside'))).toBe(false)
})

test('one that is given up within a file closes it, without another error', async () => {
  const unpacking = unpackInto(target)
  const whole = await archive({ name: 'big', text: 'x'.repeat(100_000) })
  unpacking.write(whole.subarray(0, 50_000))
  await vi.waitFor(() => expect(openFiles()).toHaveLength(1))
  unpacking.fail(new Error('nothing more comes'))
  await expect(unpacking.done).rejects.toThrow('nothing more comes')
  await vi.waitFor(() => expect(openFiles()).toEqual([]))
})

test('a disk that stalls does not hold up the loop', async () => {
  const path = join(target, 'base')
  execFileSync('mkfifo', [path])
  // It opens the pipe and reads nothing for a second: what is written then waits, as on a disk that stalls.
  const reader = spawn('sh', ['-c', `exec < "${path}"; sleep 1; cat > /dev/null`], { stdio: 'ignore' })
  onTestFinished(() => void reader.kill('SIGKILL'))
  const unpacking = unpackInto(target)
  unpacking.write(await archive({ name: 'base', text: 'x'.repeat(1_000_000) }))
  unpacking.end()
  let turns = 0
  const timer = setInterval(() => {
    turns += 1
  }, 10)
  onTestFinished(() => clearInterval(timer))
  await unpacking.done
  expect(turns, 'turns of the loop while the disk stalled').toBeGreaterThan(10)
})
