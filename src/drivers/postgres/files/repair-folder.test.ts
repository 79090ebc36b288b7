import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { repair, repairByComplaints, repairSettings } from './repair-folder.ts'
import { Folder } from './replica-folder.ts'
import { parseSettingLine } from './setting-files.ts'

const roots: string[] = []

afterEach(() => {
  for (const root of roots.splice(0)) rmSync(root, { recursive: true, force: true })
})

function folderWith(files: Readonly<Record<string, string>>): Folder {
  const root = mkdtempSync(join(tmpdir(), 'understudy-repair-'))
  roots.push(root)
  const folder = new Folder(root, 'db', join(root, 'data'), null)
  for (const sub of ['base/1', 'pg_wal', 'global']) mkdirSync(join(folder.data, sub), { recursive: true })
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder.data, name), text, 'latin1')
  return folder
}

const textOf = (folder: Folder, name = 'postgresql.auto.conf') => readFileSync(join(folder.data, name), 'latin1')

describe('a line of a setting file', () => {
  test.each([
    ["work_mem = '7MB'", 'work_mem', '7MB'],
    ['Work_Mem=7MB # more', 'work_mem', '7MB'],
    ['shared_buffers 128MB', 'shared_buffers', '128MB'],
    ['search_path = \'"$user", public\'', 'search_path', '"$user", public'],
    ["log_line_prefix = 'it''s \\'%m'", 'log_line_prefix', "it's '%m"],
    ['random_page_cost = 1.1', 'random_page_cost', '1.1'],
    ['unix_socket_permissions = 0700\r', 'unix_socket_permissions', '0700'],
    ["include_dir 'conf.d'", 'include_dir', 'conf.d'],
    ["my.app.name = 'caf\xe9'", 'my.app.name', 'caf\xe9'],
    ['data_checksums = on', 'data_checksums', 'on'],
    ['autovacuum_vacuum_threshold = -1', 'autovacuum_vacuum_threshold', '-1'],
  ])('%j is read', (line, name, value) => {
    expect(parseSettingLine(line)).toEqual({ name, value })
  })

  test.each(['', '   ', '# work_mem = 1', '  #'])('%j says nothing', (line) => {
    expect(parseSettingLine(line)).toBeNull()
  })

  test.each(['garbage', 'this is no setting', "work_mem = '7MB", '= 3', 'work_mem = 7 MB', '<<<<<<< HEAD', '\0\0\0'])(
    '%j cannot be read',
    (line) => {
      expect(parseSettingLine(line)).toBeUndefined()
    },
  )
})

describe('repair', () => {
  test('takes lines that cannot be read out of both files, tells them, and does nothing the second time', () => {
    const folder = folderWith({
      PG_VERSION: '15\n',
      'postgresql.conf': "port = 5432\n<<<<<<< HEAD\nlog_line_prefix = 'caf\xe9'\n",
      'postgresql.auto.conf': "# Do not edit\nwork_mem = '7MB'\nthis is no setting\n",
    })
    expect(repairSettings(folder)).toEqual([
      'the server cannot read a line of postgresql.conf, which was taken out: "<<<<<<< HEAD"',
      'the server cannot read a line of postgresql.auto.conf, which was taken out: "this is no setting"',
    ])
    expect(textOf(folder)).toMatch(
      /^# Do not edit\nwork_mem = '7MB'\n# taken out by Understudy.*: this is no setting\n$/,
    )
    expect(textOf(folder, 'postgresql.conf'), 'other bytes stay as they are').toContain("log_line_prefix = 'caf\xe9'")
    expect(repairSettings(folder)).toEqual([])
  })

  test('takes out what the server complained of: names, values, libraries; and nothing else', () => {
    const folder = folderWith({
      PG_VERSION: '15\n',
      'postgresql.auto.conf':
        "work_mem = '7MB'\nno_such = 3\nmaintenance_work_mem = 'much'\nshared_preload_libraries = 'nope'\nport = 5\n",
    })
    const said = [
      `LOG:  unrecognized configuration parameter "no_such" in file "${folder.data}/postgresql.auto.conf" line 2`,
      'LOG:  invalid value for parameter "maintenance_work_mem": "much"',
      'FATAL:  could not access file "nope": No such file or directory',
      'LOG:  parameter "port" cannot be changed without restarting the server',
    ]
    expect(repairByComplaints(folder, said)).toHaveLength(3)
    expect(
      textOf(folder)
        .split('\n')
        .filter((line) => !line.startsWith('#')),
    ).toEqual(["work_mem = '7MB'", 'port = 5', ''])
  })

  test('writes PG_VERSION anew from a database of its own, and calls the folder damaged when there is none', async () => {
    const folder = folderWith({ PG_VERSION: '', 'base/1/PG_VERSION': '15\n', 'postgresql.conf': '' })
    expect(folder.content()).toBe('damaged')
    expect(await repair(folder)).toContain('PG_VERSION could not be read: written anew (15)')
    expect(folder.content()).toBe('data')
    const without = folderWith({ PG_VERSION: '' })
    await repair(without)
    expect(without.content()).toBe('damaged')
  })

  test('makes folders that are empty by nature and gives the data its mode back', async () => {
    const folder = folderWith({ PG_VERSION: '15\n', 'postgresql.conf': '' })
    expect((await repair(folder)).join()).toContain('pg_notify was missing: made anew')
    expect(existsSync(join(folder.data, 'pg_subtrans'))).toBe(true)
    expect(statSync(folder.data).mode & 0o777).toBe(0o700)
    expect(await repair(folder)).toEqual([])
  })

  test('leaves alone what is not there, or is something else', async () => {
    const folder = folderWith({})
    rmSync(folder.data, { recursive: true })
    expect(await repair(folder)).toEqual([])
    mkdirSync(folder.data)
    writeFileSync(join(folder.data, 'letter.txt'), 'dear all')
    expect(folder.content()).toBe('foreign')
  })
})
