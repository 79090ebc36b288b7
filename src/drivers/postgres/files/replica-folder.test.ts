import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { lastWords } from '../server/postmaster.ts'
import { Folder } from './replica-folder.ts'

test('what is left over is removed, and nothing that others keep beside the data', async () => {
  const root = mkdtempSync(join(tmpdir(), 'understudy-folder-'))
  onTestFinished(() => rmSync(root, { recursive: true, force: true }))
  const folder = new Folder(join(root, 'node'), 'db', join(root, 'main'), null)
  const others = ['main', 'main.old', 'main.new', 'main.bak'].map((name) => join(root, name))
  for (const path of [...others, folder.fresh, folder.old]) {
    mkdirSync(path)
    writeFileSync(join(path, 'PG_VERSION'), '15\n')
  }
  await folder.removeLeftovers()
  expect([folder.fresh, folder.old].filter((path) => existsSync(path))).toEqual([])
  expect(others.filter((path) => !existsSync(join(path, 'PG_VERSION')))).toEqual([])
})

const asRoot = process.getuid?.() === 0

test.runIf(asRoot)('the way to the data is opened again for the account, as far as it is ours, and no further', () => {
  const root = mkdtempSync(join(tmpdir(), 'understudy-way-'))
  onTestFinished(() => rmSync(root, { recursive: true, force: true }))
  chmodSync(root, 0o755)
  const account = { uid: 65_534, gid: 65_534 }
  const state = join(root, 'state')
  mkdirSync(state, { mode: 0o700 })
  const folder = new Folder(join(state, 'nodes/a'), 'db', null, account)
  folder.prepare()
  mkdirSync(folder.data, { mode: 0o700 })
  folder.own(folder.data)
  const canRead = () => spawnSync('ls', [folder.data], { uid: account.uid, gid: account.gid }).status === 0
  expect(canRead()).toBe(true)
  expect(folder.openTheWay()).toEqual([])
  for (const [path, mode] of [
    [state, 0o700],
    [join(state, 'nodes'), 0o700],
    [folder.base, 0o000],
    [folder.data, 0o500],
  ] as const) {
    chmodSync(path, mode)
    expect(folder.openTheWay(), path).toEqual([path])
    expect(canRead(), path).toBe(true)
    expect(folder.openTheWay()).toEqual([])
  }
  expect(statSync(state).mode & 0o777).toBe(0o710)
  chmodSync(folder.data, 0o755) // PostgreSQL refuses that
  expect(folder.openTheWay()).toEqual([folder.data])
  expect(statSync(folder.data).mode & 0o777).toBe(0o750)
  chmodSync(root, 0o700)
  expect(() => folder.openTheWay()).toThrow(`cannot enter ${root}`)
  expect(statSync(root).mode & 0o777).toBe(0o700)
})

test('why a server could not start is the reason that it gave, not the advice after it, nor what an earlier one said', () => {
  const root = mkdtempSync(join(tmpdir(), 'understudy-words-'))
  onTestFinished(() => rmSync(root, { recursive: true, force: true }))
  const folder = new Folder(join(root, 'a'), 'db', null, null)
  mkdirSync(dirname(folder.logPath), { recursive: true })
  const said = (text: string, from = 0) => {
    writeFileSync(folder.logPath, text)
    return lastWords(folder, from)
  }
  expect(lastWords(folder)).toBe('it said nothing')
  const earlier = '2026-11-28 10:00:00 UTC [7] FATAL:  the database system is shutting down\n'
  const denied = 'postgres: could not access directory "/x/data": Permission denied'
  const advice = 'Run initdb or pg_basebackup to initialize a PostgreSQL data directory.'
  const reason = 'could not access directory "/x/data": Permission denied'
  expect(said(`${earlier}${denied}\n${advice}\n`)).toBe(reason)
  expect(said(`${earlier}/usr/lib/postgresql/15/bin/${denied}\n${advice}\n`, earlier.length)).toBe(reason)
  expect(said(earlier, earlier.length)).toBe('it said nothing')
  expect(said(earlier)).toBe('the database system is shutting down')
  const config =
    'x LOG:  syntax error in file "/x/auto.conf" line 3, near token "!"\nx FATAL:  configuration file "/x/auto.conf" contains errors\n'
  expect(said(config)).toBe(
    'configuration file "/x/auto.conf" contains errors: syntax error in file "/x/auto.conf" line 3, near token "!"',
  )
  expect(said(`${'x'.repeat(100_000)}\n${config}`)).toContain('line 3')
})
