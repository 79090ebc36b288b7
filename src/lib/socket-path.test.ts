import { chownSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { removeSocketsOf, socketPath } from './socket-path.ts'

/** A folder that is too deep for a socket, and was never used before. */
function deep(): string {
  const root = mkdtempSync(join(tmpdir(), 'understudy-sockets-'))
  const dir = join(root, 'x'.repeat(100))
  onTestFinished(() => {
    rmSync(root, { recursive: true, force: true })
    removeSocketsOf(dir)
  })
  return dir
}

test('where the path is short enough, the socket is in the folder itself', () => {
  expect(socketPath('/srv/understudy/nodes/a', 'fence.sock')).toBe('/srv/understudy/nodes/a/fence.sock')
})

test('below a deep folder it is elsewhere: the same place each time, for us alone, and gone when it is taken away', () => {
  const dir = deep()
  const path = socketPath(dir, 'fence.sock')
  expect(Buffer.byteLength(path)).toBeLessThan(100)
  expect(socketPath(dir, 'fence.sock')).toBe(path)
  expect(socketPath(`${dir}y`, 'fence.sock')).not.toBe(path)
  removeSocketsOf(`${dir}y`)
  expect(statSync(dirname(path)).mode & 0o777).toBe(0o700)
  removeSocketsOf(dir)
  expect(existsSync(dirname(path))).toBe(false)
})

test('a link to elsewhere was there first: refused', () => {
  const dir = deep()
  const folder = dirname(socketPath(dir, 'fence.sock'))
  removeSocketsOf(dir)
  mkdirSync(dir, { recursive: true })
  symlinkSync(dir, folder)
  expect(() => socketPath(dir, 'fence.sock')).toThrow(/is not ours.*remove it/)
})

test.skipIf(process.getuid?.() !== 0)('it is another user’s: refused, unless that is whom the server runs as', () => {
  const dir = deep()
  const path = socketPath(dir, 'fence.sock')
  chownSync(dirname(path), 12_345, 12_345)
  expect(() => socketPath(dir, 'fence.sock')).toThrow(/belongs to user number 12345/)
  expect(socketPath(dir, 'fence.sock', 12_345)).toBe(path)
})
