import { appendFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { noteKill, ownKill } from './own-kills.ts'

let nodeDir: string
beforeEach(() => {
  nodeDir = mkdtempSync(join(tmpdir(), 'und-kills-'))
})
afterEach(() => rmSync(nodeDir, { recursive: true }))

const writer = { service: 'worker', pid: 77, startTime: 5 }

it('finds the kill of exactly this process and says which guard it was', () => {
  noteKill(nodeDir, { ...writer, pid: 78 }, 'guard')
  expect(ownKill(nodeDir, writer)).toBeUndefined()
  noteKill(nodeDir, writer, 'guard')
  expect(ownKill(nodeDir, writer)).toContain('killed by the last guard')
  expect(ownKill(nodeDir, { ...writer, startTime: 6 })).toBeUndefined()
  noteKill(nodeDir, writer, 'agent of b')
  expect(ownKill(nodeDir, writer)).toContain('killed by the agent of b before its successor started')
})

it('heeds only kills that had an effect, between whatever else stands in the log', () => {
  const log = (line: string) => appendFileSync(join(nodeDir, 'fence.log'), `${line}\n`)
  expect(ownKill(nodeDir, writer)).toBeUndefined()
  log('(node:1) Warning: something of Node')
  log('{"event":"fenced","outcome":"gone","pid":77,"startTime":5}')
  log('{"event":"fenced"')
  expect(ownKill(nodeDir, writer)).toBeUndefined()
  log('{"event":"fenced","by":"fence","outcome":"killed","pid":77,"startTime":5}')
  log('x'.repeat(10_000))
  expect(ownKill(nodeDir, writer)).toContain('killed by the fence of this node')
})
