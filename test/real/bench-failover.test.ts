/**
 * The failover bench, small: it measures, says what it cannot, and leaves nothing behind.
 *
 * Exercises: api, balancer, cli, client, drivers/postgres, drivers/process, local, stores. Engines: postgresql.
 */
import { spawn } from 'node:child_process'
import { chmodSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'

const root = join(import.meta.dirname, '../..')
const WITHIN_MS = 150_000

/** Its own folder for temporary files: in the machine's there may be those of another run. */
let temporary: string

beforeEach(() => {
  temporary = mkdtempSync(join(tmpdir(), 'und-')) // short: sockets are made in it
  chmodSync(temporary, 0o755) // PostgreSQL refuses to run as root: the account that it runs as has to get in
})

afterEach(() => rmSync(temporary, { recursive: true, force: true, maxRetries: 20 }))

interface Summary {
  readonly fault: string
  readonly gapMs: { readonly p50: number; readonly max: number }
  readonly lostRows: number
  readonly failedStatements: number
  readonly receipt: Record<string, number>
}

test(
  'a primary is killed once: a gap, a receipt, and no acknowledged row is missing',
  async () => {
    const { code, out, complaints } = await bench('--runs', '1', '--fault', 'kill', '--json')
    expect(code, complaints).toBe(0)
    const { summaries } = JSON.parse(out) as { summaries: Summary[] }
    expect(summaries).toMatchObject([{ system: 'Understudy', fault: 'kill', runs: 1, lostRows: 0 }])
    const [{ gapMs, receipt } = { gapMs: { max: 0 }, receipt: {} }] = summaries
    expect(gapMs.max).toBeGreaterThan(20)
    expect(Object.keys(receipt)).toContain('noticed')
    expect(readdirSync(temporary)).toEqual([])
  },
  WITHIN_MS + 30_000,
)

test.each([
  [['--fault', 'cut'], /cut is not measured here/],
  [['--fault', 'flood'], /no fault “flood”; there are: kill, node, freeze, switchover/],
  [['--vs', 'magic'], /nothing called “magic” to compare with/],
  [['--runs', '0'], /--runs takes a number/],
])('%j is refused before anything is started', async (args, sentence) => {
  const { code, complaints } = await bench(...args)
  expect(complaints).toMatch(sentence)
  expect(code).toBe(2)
})

test('with Patroni not installed it says what to install', async () => {
  const { code, complaints } = await bench('--vs', 'patroni', { PATH: '/nowhere' })
  expect(complaints).toMatch(/needs patroni.*: sudo apt-get install --no-install-recommends patroni/)
  expect(code).toBe(2)
})

function bench(
  ...asked: (string | NodeJS.ProcessEnv)[]
): Promise<{ code: number | null; out: string; complaints: string }> {
  const args = asked.filter((one) => typeof one === 'string')
  const env = asked.find((one) => typeof one === 'object') ?? {}
  const child = spawn(process.execPath, [join(root, 'bench/failover.mjs'), ...args], {
    env: { ...process.env, TMPDIR: temporary, ...env },
  })
  const timer = setTimeout(() => child.kill('SIGTERM'), WITHIN_MS) // it cleans up after itself then, too
  let [out, complaints] = ['', '']
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString()
  })
  child.stderr.on('data', (chunk: Buffer) => {
    complaints += chunk.toString()
  })
  return new Promise((resolve) => {
    child.once('close', (code) => {
      clearTimeout(timer)
      resolve({ code, out, complaints })
    })
  })
}
