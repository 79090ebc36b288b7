import { spawn } from 'node:child_process'
import { chmodSync, copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { identify, livingState, processState } from './proc.ts'

const undo: (() => void)[] = []
afterEach(() => {
  for (const one of undo.splice(0)) one()
})

test('a process is described as the kernel describes it', () => {
  const fields = readFileSync('/proc/self/stat', 'latin1').split(') ').at(-1)?.split(' ') ?? []
  expect(processState(process.pid)).toEqual({
    pid: process.pid,
    letter: expect.stringMatching(/^[RSD]$/),
    parent: process.ppid,
    group: Number(fields[2]),
    startTime: Number(fields[19]),
  })
})

test('a name that looks like the fields that follow it is not taken for them', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-proc-'))
  undo.push(() => rmSync(folder, { recursive: true, force: true }))
  const program = join(folder, 'a) Z 1 (b) 2 3') // the kernel keeps 15 bytes of a name
  copyFileSync('/bin/sleep', program)
  chmodSync(program, 0o700)
  const child = spawn(program, ['60'], { stdio: 'ignore' })
  undo.push(() => void child.kill('SIGKILL'))
  await new Promise((resolve) => child.once('spawn', resolve))
  const identity = identify(child.pid as number)
  expect(readFileSync(`/proc/${child.pid}/stat`, 'latin1')).toContain(') Z 1 (b) 2')
  expect(identity && livingState(identity)).toMatchObject({
    letter: expect.not.stringMatching('Z'),
    parent: process.pid,
  })
  expect(identity?.startTime).toBeGreaterThanOrEqual(processState(process.pid)?.startTime ?? Number.NaN)
})

test('a pid that no process has has no state', () => {
  expect(processState(2 ** 22 + 1)).toBeUndefined()
})
