import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { describeEnding } from './ending.ts'
import { folderProblem } from './not-runnable.ts'
import { spawnGate } from './spawn.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'understudy-run-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

it('a cwd that is missing is named, not /bin/sh', async () => {
  const cwd = join(folder, 'missing')
  const log = { path: join(folder, 'x.log'), bytes: 1_000_000, files: 1 }
  const gate = spawnGate({ words: ['true'], cwd, env: {}, runAs: null, limits: {}, log })
  await expect(gate).rejects.toMatchObject({
    code: 'UND_REFUSED',
    message: `the option cwd names ${cwd}, which does not exist`,
  })
  writeFileSync(cwd, '')
  expect(folderProblem(cwd)).toContain('is not a folder')
  expect(folderProblem(folder)).toBeUndefined()
})

it('a script whose interpreter is missing is there: the interpreter is named', () => {
  const ended = { seen: 'exit', code: 127, signal: null } as const
  writeFileSync(join(folder, 'app'), '#!/usr/bin/nodee --x\nrun()\n', { mode: 0o755 })
  expect(describeEnding(ended, './app', 5, folder)).toBe(
    './app is there, but the interpreter of its first line, /usr/bin/nodee, is not (sh ended with code 127 after 5 ms)',
  )
  writeFileSync(join(folder, 'app'), '#!/bin/sh\r\necho\r\n', { mode: 0o755 })
  expect(describeEnding(ended, ['./app'], 5, folder)).toContain('/bin/sh, is not: the line ends in CR LF')
  writeFileSync(join(folder, 'app'), '#!/bin/sh\n', { mode: 0o755 })
  expect(describeEnding(ended, './app', 5, folder)).toContain('command not found')
  expect(describeEnding(ended, 'no-such-program', 5, folder)).toContain('command not found: no-such-program')
})
