import { appendFileSync, copyFileSync, mkdtempSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { LogFile } from './log-file.ts'

let folder: string
let path: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'understudy-log-'))
  path = join(folder, 'web.log')
})
afterEach(() => rmSync(folder, { recursive: true }))

function rotate(): void {
  copyFileSync(path, `${path}.1`)
  truncateSync(path)
}

describe('LogFile', () => {
  it('reads the newest lines, the unfinished last one too, on into rotated files', () => {
    writeFileSync(`${path}.2`, '1\n2\n')
    writeFileSync(`${path}.1`, '3\n4\n')
    writeFileSync(path, '5\nlast words')
    expect(new LogFile(path).last(1)).toEqual(['last words'])
    expect(new LogFile(path).last(4)).toEqual(['3', '4', '5', 'last words'])
    expect(new LogFile(path).last(99)).toEqual(['1', '2', '3', '4', '5', 'last words'])
    expect(new LogFile(path).last(0)).toEqual([])
  })

  it('follows in whole lines, however they are written', () => {
    const log = new LogFile(path)
    expect([log.exists, log.last(5), log.more()]).toEqual([false, [], []])
    writeFileSync(path, 'grün ')
    expect(log.more()).toEqual([])
    appendFileSync(path, 'und ö\nhalf')
    expect(log.more()).toEqual(['grün und ö'])
    appendFileSync(path, ' more\n')
    expect([log.more(), log.more()]).toEqual([['half more'], []])
  })

  it('misses nothing when the log is rotated between two looks', () => {
    writeFileSync(path, 'one\ntwo\n')
    const log = new LogFile(path)
    expect(log.last(9)).toEqual(['one', 'two'])
    appendFileSync(path, 'three\n')
    rotate()
    appendFileSync(path, '4\n')
    expect(log.more()).toEqual(['three', '4'])
    appendFileSync(path, 'five\n')
    expect(log.more()).toEqual(['five'])
  })

  it('misses nothing when the log was renamed, also twice, between two looks', () => {
    writeFileSync(path, 'one\n')
    const log = new LogFile(path)
    expect(log.last(9)).toEqual(['one'])
    appendFileSync(path, 'two\ncut off at the lim')
    renameSync(path, `${path}.1`)
    expect(log.more()).toEqual(['two', 'cut off at the lim'])
    writeFileSync(path, 'three\n')
    expect(log.more()).toEqual(['three'])
    appendFileSync(path, 'four\n')
    renameSync(`${path}.1`, `${path}.3`)
    renameSync(path, `${path}.2`)
    writeFileSync(`${path}.1`, 'five\n')
    writeFileSync(path, 'six\nsev')
    expect(log.more()).toEqual(['four', 'five', 'six'])
    appendFileSync(path, 'en\n')
    expect(log.more()).toEqual(['seven'])
  })

  it('reads only the end of a large log for its newest lines', () => {
    const lines = Array.from({ length: 60_000 }, (_, n) => `line number ${n}`)
    writeFileSync(path, `${lines.join('\n')}\n`)
    expect(new LogFile(path).last(3)).toEqual(lines.slice(-3))
    expect(new LogFile(path).last(20_000)).toEqual(lines.slice(-20_000))
    expect(new LogFile(path).last(99_999)).toEqual(lines)
  })
})
