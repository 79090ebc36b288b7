import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { Folder } from './member-folder.ts'

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
