/**
 * What was built loads a config as the sources do: in a folder without node_modules, `import … from 'understudy'` is
 * this very program. The unit tests have shown it for the sources.
 *
 * Exercises: config. Engines: none.
 */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, expect, test } from 'vitest'

const dist = join(import.meta.dirname, '../../dist')

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'understudy-built-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

test('a TypeScript config is loaded and compiled by what was built', async () => {
  const config = `
    import { command, defineCluster } from 'understudy'
    const run: string = 'node mailer.js'
    export default defineCluster({ name: 'shop', nodes: { a: {} }, services: { mailer: command({ run }) } })`
  writeFileSync(join(folder, 'understudy.config.ts'), config)
  const program = `
    const { loadConfig } = await import(${JSON.stringify(join(dist, 'config/load-config.js'))})
    const { compileCluster } = await import(${JSON.stringify(join(dist, 'config/compile.js'))})
    const { file, raw } = await loadConfig()
    console.log(JSON.stringify(compileCluster(raw, { file }).spec))`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], {
    cwd: folder,
    timeout: 30_000,
  })
  expect(JSON.parse(stdout)).toMatchObject({ name: 'shop', services: [{ name: 'mailer', options: { cwd: folder } }] })
})

test('the package names what it exports', async () => {
  const program = `console.log(Object.keys(await import('understudy')).sort().join(' '))`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], {
    cwd: join(dist, '..'),
    timeout: 30_000,
  })
  expect(stdout.trim()).toBe('ERRORS UnderstudyError command defineCluster hasCode http postgres secret')
})
