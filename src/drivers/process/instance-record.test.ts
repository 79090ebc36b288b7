import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { bootId } from '../../lib/boot.ts'
import { type InstanceRecord, readRecord, writeRecord } from './instance-record.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'und-record-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

const record: InstanceRecord = {
  bootId: bootId(),
  phase: 'open',
  identity: { pid: 123, startTime: 456 },
  role: 'primary',
  term: 3,
  told: true,
  port: 20_000,
  startedAtMono: 1.5,
  wasHealthy: false,
  failures: 2,
  retryAtMono: 0,
  note: '',
}

it('reads what it wrote', () => {
  const path = join(dir, 'new', 'svc.json')
  expect(readRecord(path)).toBeUndefined()
  writeRecord(path, record)
  expect(readRecord(path)).toEqual(record)
})

it('a file with anything missing or impossible is no record: no process is signalled by guess', () => {
  const path = join(dir, 'svc.json')
  const spoiled: object[] = Object.keys(record).map((key) => ({ ...record, [key]: undefined }))
  spoiled.push({ ...record, identity: { pid: 1, startTime: 1 } }, { ...record, identity: { pid: -5, startTime: 1 } })
  spoiled.push({ ...record, role: 'none' }, { ...record, phase: 'shut' }, { ...record, term: '3' }, [])
  for (const content of spoiled) {
    writeFileSync(path, JSON.stringify(content))
    expect(() => readRecord(path)).toThrow(/svc\.json cannot be used/)
  }
})

it('a record of an earlier boot speaks of no process that is left', () => {
  const path = join(dir, 'svc.json')
  writeRecord(path, { ...record, bootId: 'another' })
  expect(readRecord(path)).toBeUndefined()
  writeFileSync(path, '') // as a power loss may leave it
  const lastYear = new Date(Date.now() - 365 * 86_400_000)
  utimesSync(path, lastYear, lastYear)
  expect(readRecord(path)).toBeUndefined()
})

it('a folder that cannot be made is an error that names the file', () => {
  writeFileSync(join(dir, 'file'), '')
  expect(() => writeRecord(join(dir, 'file', 'svc.json'), record)).toThrow(/cannot write .*svc\.json/)
})
