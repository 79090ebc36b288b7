/** What a fence saves lies in memory, and may vanish there, be another's, or be of an earlier boot. */
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statfsSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { bootId } from '../lib/boot.ts'
import { findMemoryFolder, makeMemoryFolder, removeMemoryFolderOf } from '../lib/memory-folder.ts'
import { readSaved, SavedFile } from './fence-saved.ts'

const HAS_MEMORY = existsSync('/dev/shm') && statfsSync('/dev/shm').type === 0x01021994
const ARMED = { service: 'one', pid: 4_000, startTime: 7, killAtMono: 1_000 }

let root: string
let dir: string
let path: string
beforeEach(() => {
  root = mkdtempSync(join(HAS_MEMORY ? '/dev/shm' : tmpdir(), 'understudy-test-'))
  dir = mkdtempSync(join(tmpdir(), 'understudy-saved-'))
  path = join(dir, 'fence-saved.json')
})
afterEach(() => {
  for (const folder of [root, dir]) rmSync(folder, { recursive: true, force: true })
})

const at = (savedAtMono: number) => ({
  fence: undefined,
  guard: undefined,
  armed: [{ ...ARMED, killAtMono: savedAtMono + 1_000 }],
  savedAtMono,
})
const killAt = () => readSaved(path, root).armed.map(({ killAtMono }) => killAtMono)
const inMemory = () => new SavedFile({ path, inMemory: true, root })

describe.runIf(HAS_MEMORY)('what a fence saves in memory', () => {
  it('is read back, and nothing is written in the state folder', async () => {
    writeFileSync(path, 'of a fence before')
    await inMemory().write(at(1))
    expect([readdirSync(dir), killAt()]).toEqual([[], [1_001]])
  })

  it('vanishes: the next write makes it anew, and until then nothing was saved', async () => {
    const file = inMemory()
    await file.write(at(1))
    removeMemoryFolderOf(dir, root)
    expect(killAt()).toEqual([])
    await file.write(at(2))
    expect(killAt()).toEqual([1_002])
  })

  it('is of an earlier boot: nothing was saved', async () => {
    const folder = makeMemoryFolder(dir, root) as string
    writeFileSync(join(folder, 'fence-saved.json'), JSON.stringify({ bootId: 'earlier', ...at(1) }))
    expect(killAt()).toEqual([])
  })

  for (const [what, take] of [
    ['open to others', (folder: string) => chmodSync(folder, 0o755)],
    ['a link', (folder: string) => exchange(folder, () => symlinkSync(`${folder}-other`, folder))],
    ['a file', (folder: string) => exchange(folder, () => writeFileSync(folder, ''))],
    ...(process.geteuid?.() === 0 ? [['of another user', (folder: string) => chownSync(folder, 4_711, 4_711)]] : []),
  ] as [string, (folder: string) => void][]) {
    it(`is not believed when its folder is ${what}, and the fence goes on in the state folder`, async () => {
      const file = inMemory()
      await file.write(at(1))
      take(findMemoryFolder(dir, root) as string)
      expect(killAt()).toEqual([])
      await file.write(at(2))
      expect([readdirSync(dir), killAt()]).toEqual([['fence-saved.json'], [1_002]])
    })
  }

  it('cannot be written there: the state folder has the newest, and it is taken', async () => {
    await inMemory().write(at(1))
    mkdirSync(join(findMemoryFolder(dir, root) as string, 'fence-saved.json.new'))
    const next = inMemory()
    await next.write(at(2))
    expect(killAt()).toEqual([1_002])
    await next.write(at(3))
    expect(killAt()).toEqual([1_003])
  })

  it('is not found for another folder, nor for a copy that takes the place of the first', async () => {
    await inMemory().write(at(1))
    renameSync(dir, `${dir}-moved`)
    mkdirSync(dir)
    expect(killAt()).toEqual([])
    rmSync(`${dir}-moved`, { recursive: true })
  })
})

it('lies in the state folder where there is no memory that is safe to use', async () => {
  for (const none of [join(dir, 'nowhere'), tmpdirOpenToAll()]) {
    const file = new SavedFile({ path, inMemory: true, root: none })
    await file.write(at(1))
    expect(readSaved(path, none)).toMatchObject({ bootId: bootId(), armed: [{ pid: ARMED.pid }] })
    rmSync(path)
  }
})

/** Where others may rename what is ours. */
function tmpdirOpenToAll(): string {
  const open = join(root, 'open')
  mkdirSync(open)
  chmodSync(open, 0o777)
  return open
}

/** What was written there is still to be had by who follows a link. */
function exchange(folder: string, put: () => void): void {
  renameSync(folder, `${folder}-other`)
  put()
}
