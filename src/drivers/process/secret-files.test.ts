/** Files of secrets: who may read them, where they are, and that nothing of them is left. */

import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { asAccount } from '../as-account.ts'
import { removeAllSecretFiles, removeSecretFiles, secretFilePath, writeSecretFiles } from './secret-files.ts'

const isRoot = process.getuid?.() === 0
let nodeDir: string
beforeEach(() => {
  nodeDir = mkdtempSync(join(tmpdir(), 'understudy-files-'))
})
afterEach(() => {
  removeAllSecretFiles(nodeDir)
  rmSync(nodeDir, { recursive: true, force: true })
})

const write = (value: string, service = 'web') => {
  writeSecretFiles(nodeDir, service, { PASSWORD_FILE: value }, null)
  return secretFilePath(nodeDir, service, 'PASSWORD_FILE')
}
const modeOf = (path: string) => statSync(path).mode & 0o777

describe('the file of a secret', () => {
  test('holds the value, for its owner alone, in a folder of its own', () => {
    const path = write('hunter2')
    expect(readFileSync(path, 'utf8')).toBe('hunter2')
    expect([modeOf(path), modeOf(dirname(path))]).toEqual([0o600, 0o700])
  })

  test('is written anew for each instance, and no earlier file is left', () => {
    const path = write('first')
    writeFileSync(join(dirname(path), 'OLD_FILE'), 'earlier')
    expect(readFileSync(write('second'), 'utf8')).toBe('second')
    expect(existsSync(join(dirname(path), 'OLD_FILE'))).toBe(false)
  })

  test('goes with its instance, and leaves those of other services', () => {
    const [web, mail] = [write('hunter2'), write('hunter3', 'mail')]
    removeSecretFiles(nodeDir, 'web')
    removeSecretFiles(nodeDir, 'web')
    expect([existsSync(dirname(web)), existsSync(mail)]).toEqual([false, true])
    removeAllSecretFiles(nodeDir)
    expect(existsSync(dirname(dirname(mail)))).toBe(false)
  })

  test('is never written through what is there already', () => {
    const path = write('first')
    const target = join(nodeDir, 'target')
    writeFileSync(target, 'untouched')
    rmSync(path)
    symlinkSync(target, path)
    write('second')
    expect(readFileSync(target, 'utf8')).toBe('untouched')
    expect(readFileSync(path, 'utf8')).toBe('second')
  })

  test('is in the state folder where the folder in memory is not ours', () => {
    const memory = dirname(dirname(write('first')))
    if (memory.startsWith(nodeDir)) return // this machine has no such folder
    removeSecretFiles(nodeDir, 'web')
    chmodSync(memory, 0o777)
    const path = write('second')
    expect([path.startsWith(nodeDir), modeOf(path), modeOf(dirname(dirname(path)))]).toEqual([true, 0o600, 0o700])
    chmodSync(memory, 0o711)
  })
})

describe.skipIf(!isRoot)('of a program that runs as another user', () => {
  const NOBODY = { uid: 65_534, gid: 65_534 }
  const OTHER = { uid: 65_533, gid: 65_533 }
  const read = (account: typeof NOBODY, path: string) => {
    const { file, args, ids } = asAccount(account, '/bin/cat', [path], undefined)
    return execFileSync(file, args, { ...ids, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  }

  test('can be read by it, by no other user, and exchanged by neither', () => {
    writeSecretFiles(nodeDir, 'web', { PASSWORD_FILE: 'hunter2' }, NOBODY)
    const path = secretFilePath(nodeDir, 'web', 'PASSWORD_FILE')
    expect(read(NOBODY, path)).toBe('hunter2')
    expect(() => read(OTHER, path)).toThrow()
    expect([statSync(path).uid, modeOf(path)]).toEqual([65_534, 0o600])
    expect([statSync(dirname(path)).uid, modeOf(dirname(path))]).toEqual([0, 0o710])
  })

  test('is refused where only the state folder is left, which is closed to it', () => {
    writeSecretFiles(nodeDir, 'web', { PASSWORD_FILE: 'hunter2' }, null)
    const memory = dirname(dirname(secretFilePath(nodeDir, 'web', 'PASSWORD_FILE')))
    if (memory.startsWith(nodeDir)) return // this machine has no such folder
    chmodSync(memory, 0o777)
    expect(() => writeSecretFiles(nodeDir, 'web', { PASSWORD_FILE: 'hunter2' }, NOBODY)).toThrow('folder in memory')
    expect(existsSync(join(nodeDir, 'secrets', 'web'))).toBe(false)
    chmodSync(memory, 0o711)
    mkdirSync(join(nodeDir, 'secrets'), { recursive: true })
  })
})
