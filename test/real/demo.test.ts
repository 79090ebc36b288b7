/**
 * The demo as a reader of the README runs it: it ends well, tells of every fault, and leaves nothing behind.
 *
 * Exercises: api, balancer, cli, client, drivers/postgres, drivers/process, local, stores. Engines: postgresql.
 */
import { spawn } from 'node:child_process'
import { chmodSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { FAULTS } from '../../src/cli/demo/demo-faults.ts'

const root = join(import.meta.dirname, '../..')
const WITHIN_MS = 240_000

/** Its own folder for temporary files: in the machine's there may be those of another run. */
let temporary: string

beforeEach(() => {
  temporary = mkdtempSync(join(tmpdir(), 'und-')) // short: sockets are made in it
  chmodSync(temporary, 0o755) // PostgreSQL refuses to run as root: the account that it runs as has to get in
})

afterEach(() => rmSync(temporary, { recursive: true, force: true, maxRetries: 20 }))

test(
  'the demo',
  async () => {
    const { code, text } = await run(join(root, 'dist/cli/main.js'), 'demo')
    expect(text, text).toMatch(/✓ 0 failed pages through the balancers of living nodes/)
    const [, acknowledged, there] = /✓ (\d+) orders were acknowledged, (\d+) of them are there/.exec(text) ?? []
    expect(Number(acknowledged), text).toBeGreaterThan(200)
    expect(there).toBe(acknowledged)
    expect(text).toMatch(/✓ \d+ workers ran one after the other, 0 of them at the same time as another/)
    expect(text).toMatch(/✓ recovered from every fault/)
    for (const { name } of FAULTS) expect(text).toContain(`│ ${name} `)
    expect(code).toBe(0)
    expect(readdirSync(temporary)).toEqual([])
  },
  WITHIN_MS + 30_000,
)

/** Asked to end when it takes too long: it cleans up after itself then, too. */
function run(...args: string[]): Promise<{ code: number | null; text: string }> {
  const env = { ...process.env, TMPDIR: temporary }
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
  const timer = setTimeout(() => child.kill('SIGTERM'), WITHIN_MS)
  let text = ''
  const listen = (chunk: Buffer) => {
    text += chunk.toString()
  }
  child.stdout.on('data', listen)
  child.stderr.on('data', listen)
  return new Promise((resolve) => {
    child.once('close', (code) => {
      clearTimeout(timer)
      resolve({ code, text })
    })
  })
}
