import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { deadFiles, leftBehind } from './support/shared-memory.ts'

const MINUTE = 60_000
const file = { name: 'PostgreSQL.1', uid: 5, madeAtMs: 10 * MINUTE }

test.each([
  ['there is no server', [], true],
  ['a server began before it', [{ uid: 5, startedAtMs: 9 * MINUTE }], false],
  ['a server began in the same moment', [{ uid: 5, startedAtMs: 10 * MINUTE + 500 }], false],
  ['every server began after it', [{ uid: 5, startedAtMs: 11 * MINUTE }], true],
  ['an older server is of another account', [{ uid: 6, startedAtMs: 9 * MINUTE }], true],
])('a file of shared memory when %s: dead is %s', (_, servers, isDead) => {
  expect(deadFiles([file], servers)).toEqual(isDead ? ['PostgreSQL.1'] : [])
})

test('a file that a server of another run made and no process maps is not left behind', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-shm-'))
  const name = `PostgreSQL.understudy-${process.pid}`
  onTestFinished(() => {
    rmSync(folder, { recursive: true, force: true })
    rmSync(join('/dev/shm', name), { force: true })
  })
  const program = join(folder, 'postgres') // by its name a server
  copyFileSync(process.execPath, program)
  const server = spawn(program, ['-e', 'process.title = "postgres"; console.log("up"); setInterval(() => {}, 1e6)'])
  onTestFinished(() => void server.kill('SIGKILL'))
  await once(server.stdout, 'data')
  writeFileSync(join('/dev/shm', name), '')
  expect(leftBehind().files).not.toContain(name)
})
