import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { rotateLog } from './instance-logs.ts'

let dir: string
let path: string
let log: number
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'und-logs-'))
  path = join(dir, 'logs', 'svc.log')
  mkdirSync(join(dir, 'logs'))
  log = openSync(path, 'a')
})
afterEach(() => {
  closeSync(log)
  rmSync(dir, { recursive: true, force: true })
})

const read = (suffix: string) => readFileSync(`${path}${suffix}`, 'utf8')

it('moves the content into .1, pushes the older ones on and drops the oldest; the writer goes on at the start', async () => {
  for (const line of ['first', 'second', 'third']) {
    writeSync(log, `${line}\n`)
    expect(await rotateLog(path, 4, 2)).toBe(true)
  }
  writeSync(log, 'now\n')
  expect([read(''), read('.1'), read('.2')]).toEqual(['now\n', 'third\n', 'second\n'])
  expect(existsSync(`${path}.3`)).toBe(false)
})

it('leaves a log alone that is not larger than it may be, or not there', async () => {
  writeSync(log, '1234')
  expect(await rotateLog(path, 4, 2)).toBe(false)
  expect(await rotateLog(join(dir, 'absent.log'), 4, 2)).toBe(false)
})

it('with no old ones to keep, empties it', async () => {
  writeSync(log, 'gone\n')
  expect(await rotateLog(path, 1, 0)).toBe(true)
  writeSync(log, 'here\n')
  expect(read('')).toBe('here\n')
  expect(existsSync(`${path}.1`)).toBe(false)
})

it('what is written while the bulk is copied is not lost', async () => {
  writeSync(log, `${'x'.repeat(3_000_000)}\n`)
  const rotating = rotateLog(path, 4, 1)
  let written = 0
  const writer = setInterval(() => writeSync(log, `line ${written++}\n`), 0)
  await rotating
  clearInterval(writer)
  const lines = `${read('.1')}${read('')}`.split('\n').filter((line) => line.startsWith('line'))
  expect(lines).toEqual(Array.from({ length: written }, (_, n) => `line ${n}`))
})
