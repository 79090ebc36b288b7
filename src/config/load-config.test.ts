import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import * as publicFace from '../index.ts'
import { compileCluster } from './compile.ts'
import { InvalidConfig } from './complaint.ts'
import { loadConfig, PUBLIC_VALUES } from './load-config.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'understudy-load-')) // far from any node_modules
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

function write(name: string, text: string): string {
  writeFileSync(join(folder, name), text)
  return join(folder, name)
}

async function complaintOf(name: string, text: string) {
  const error = await loadConfig(write(name, text)).catch((error: unknown) => error)
  if (!(error instanceof InvalidConfig)) throw new Error(`it was read: ${JSON.stringify(error)}`)
  expect(error.code).toBe('UND_CONFIG_INVALID')
  expect(error.complaints).toHaveLength(1)
  const [complaint] = error.complaints
  return { path: complaint?.path.replace(`${folder}/`, ''), problem: complaint?.problem }
}

const SHOP = `defineCluster({ name: 'shop', nodes: { a: {}, b: {} }, services: { web: http({ run: 'x', listen: 8080 }) } })`

describe('what is read', () => {
  test.each([
    [
      'ts',
      `import { defineCluster, http, type HttpOptions } from 'understudy'\nconst port: number = 8080\nexport default ${SHOP}`,
    ],
    [
      'mjs',
      `import * as understudy from 'understudy'\nconst { defineCluster, http } = understudy\nexport default ${SHOP}`,
    ],
    ['js', `const { defineCluster, http } = require('understudy')\nmodule.exports = ${SHOP}`],
    [
      'json',
      `{ "$schema": "x", "name": "shop", "nodes": { "a": {}, "b": {} }, "services": { "web": { "kind": "http", "options": { "run": "x", "listen": 8080 } } } }`,
    ],
  ])('understudy.config.%s', async (extension, text) => {
    const file = write(`understudy.config.${extension}`, text)
    const loaded = await loadConfig(folder)
    expect(loaded.file).toBe(file)
    expect(compileCluster(loaded.raw, loaded).spec.services[0]).toMatchObject({ name: 'web', options: { cwd: folder } })
  })

  test('ts comes before json, and a file named wins over both', async () => {
    write('understudy.config.json', '{ "from": "json" }')
    write('understudy.config.ts', "export default { from: 'ts' }")
    const other = write('other.mjs', "export default { from: 'other' }")
    expect((await loadConfig(folder)).raw).toEqual({ from: 'ts' })
    expect((await loadConfig(other)).raw).toEqual({ from: 'other' })
  })

  test('a file that was changed is read anew, with what it imports', async () => {
    write('names.ts', "export const name = 'one'")
    const file = write('a.config.ts', "import { name } from './names.ts'\nexport default { name }")
    expect((await loadConfig(file)).raw).toEqual({ name: 'one' })
    write('names.ts', "export const name = 'two'")
    expect((await loadConfig(file)).raw).toEqual({ name: 'two' })
  })

  test("'understudy' is the same to a config as to any program", () => {
    expect(Object.keys(PUBLIC_VALUES).sort()).toEqual(Object.keys(publicFace).sort())
    for (const [name, value] of Object.entries(publicFace)) expect(PUBLIC_VALUES[name]).toBe(value)
  })
})

describe('what cannot be read', () => {
  test('nothing there', async () => {
    await expect(loadConfig(join(folder, 'absent.ts'))).rejects.toMatchObject({ code: 'UND_CONFIG_NOT_FOUND' })
    await expect(loadConfig(folder)).rejects.toMatchObject({ code: 'UND_CONFIG_NOT_FOUND' })
  })

  test.each([
    ['a.ts', 'export default {\n  name: = 3\n}', 'a.ts:2:9', 'cannot be parsed: Unexpected token'],
    ['a.json', '{\n  "name": "shop",\n}', 'a.json:3:1', 'cannot be parsed: Expected double-quoted property name'],
    ['a.json', '{ "name": ', 'a.json:1:11', 'cannot be parsed: Unexpected end of JSON input'],
    ['a.json', '', 'a.json:1:1', 'cannot be parsed: Unexpected end of JSON input'],
    ['a.ts', "\nthrow new Error('no such luck')", 'a.ts:2', 'failed when it was run: no such luck'],
    ['a.ts', "throw 'text'", 'a.ts', 'failed when it was run: text'],
    [
      'a.ts',
      "import { postgre } from 'understudy'\nexport default postgre()",
      'a.ts:2',
      'failed when it was run: postgre is not a function',
    ],
    ['a.ts', "import { x } from './absent.ts'\nexport default x", 'a.ts', 'imports ./absent.ts, which cannot be found'],
    [
      'a.ts',
      "import x from 'no-such-package'\nexport default x",
      'a.ts',
      'imports no-such-package, which cannot be found',
    ],
    ['a.ts', 'export const cluster = 1', 'a.ts', 'exports nothing as default'],
    ['a.ts', '', 'a.ts', 'exports nothing as default'],
    ['a.ts', 'export default undefined', 'a.ts', 'exports nothing as default'],
    ['a.ts', 'export default Promise.resolve({})', 'a.ts', 'exports a promise'],
    ['a.ts', "export default Promise.reject(new Error('x'))", 'a.ts', 'exports a promise'],
    ['a.ts', 'export default () => ({})', 'a.ts', 'exports a function'],
  ])('%s: %s', async (name, text, path, problem) => {
    const complaint = await complaintOf(name, text)
    expect(complaint.problem).toContain(problem)
    expect(complaint.path).toBe(path)
  })

  test('an error in a file that it imports is told with that file', async () => {
    write('inner.ts', "\n\nthrow new Error('from inside')")
    const complaint = await complaintOf('a.ts', "import './inner.ts'\nexport default {}")
    expect(complaint.problem).toContain('from inside')
    expect(complaint.path).toContain('inner.ts:3')
  })
})
