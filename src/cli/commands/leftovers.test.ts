import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { StateFolder } from '../../local/cluster-folder.ts'
import { fakeIo } from '../fake-io.ts'
import { run } from '../program.ts'

let folder: string
let base: string
const NAME = 'a/db/removed-20261129T014503Z'

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'understudy-leftovers-'))
  const state = new StateFolder(join(folder, '.understudy'))
  state.create()
  base = join(state.node('a'), 'instances', 'db.removed-20261129T014503Z')
  mkdirSync(base, { recursive: true })
  writeFileSync(join(base, 'replica.json'), '{}')
})

afterEach(() => rmSync(folder, { recursive: true }))

async function said(...args: string[]) {
  const io = fakeIo({ cwd: folder, env: { UNDERSTUDY_STATE: join(folder, '.understudy') } })
  const code = await run(['leftovers', ...args], io)
  return { code, text: io.text(), complained: io.complained.join('\n') }
}

test('lists what was set aside, for an operator and as JSON', async () => {
  const { text, code } = await said()
  expect(code).toBe(0)
  expect(text).toContain(NAME)
  expect(text).toContain('2026-11-29 01:45')
  expect(JSON.parse((await said('list', '--json')).text)).toMatchObject([
    { name: NAME, kind: 'removed', places: [base] },
  ])
})

test('deletes one only when its name is said twice', async () => {
  const once = await said('rm', NAME)
  expect(once.code).toBe(2)
  expect(once.complained).toContain(`understudy leftovers rm ${NAME} --confirm ${NAME}`)
  expect((await said('rm', NAME, '--confirm', 'a/db')).code).toBe(2)
  expect(existsSync(base)).toBe(true)
  expect((await said('rm', NAME, '--confirm', NAME)).text).toContain(`Deleted ${NAME}`)
  expect(existsSync(base)).toBe(false)
  expect((await said()).text).toContain('Nothing was set aside')
})

test('another word than list and rm is refused', async () => {
  expect((await said('purge')).code).toBe(2)
})
