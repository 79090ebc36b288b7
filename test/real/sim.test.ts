/**
 * The simulator as it is run by hand: on every core, in any time zone and language the same hash; and a run that is ended by
 * Ctrl-C says what was done.
 *
 * Exercises: sim, cli. Engines: none.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import type { Summary } from '../../src/sim/summary.ts'

const MAIN = join(import.meta.dirname, '../../dist/cli/main.js')

describe('understudy sim', () => {
  const children: ChildProcess[] = []

  afterEach(() => {
    for (const child of children.splice(0)) if (child.exitCode === null) child.kill('SIGKILL')
  })

  function sim(words: readonly string[], env: Record<string, string> = {}) {
    const child = spawn(process.execPath, [MAIN, 'sim', ...words], { env: { ...process.env, ...env } })
    children.push(child)
    let out = ''
    let heard = () => {}
    child.stdout.on('data', (chunk: Buffer) => {
      out += String(chunk)
      heard()
    })
    const code = new Promise<number | null>((resolve) => child.on('close', resolve))
    const saying = (what: RegExp) =>
      new Promise<void>((resolve, reject) => {
        heard = () => what.test(out) && resolve()
        heard()
        void code.then(() => reject(new Error(`it ended without saying ${what}: ${out}`)))
      })
    return { child, code, saying, out: () => out }
  }

  it('tells the same history on one core and on three, in another time zone and language', async () => {
    const words = ['--seeds', '60', '--json']
    const runs = [
      sim([...words, '--cores', '1'], { TZ: 'UTC', LC_ALL: 'C' }),
      sim([...words, '--cores', '3'], { TZ: 'Asia/Kathmandu', LC_ALL: 'tr_TR.UTF-8', LANG: 'tr_TR.UTF-8' }),
    ]
    const sums: Summary[] = []
    for (const run of runs) {
      expect(await run.code).toBe(0)
      sums.push(JSON.parse(run.out()))
    }
    expect(sums[0]?.seeds).toBe(60)
    expect(sums[1]).toEqual(sums[0])
  })

  it.each(['1', '2'])('reports what was done when it is ended by Ctrl-C, on %s cores', async (cores) => {
    const run = sim(['--seeds', '1000000', '--cores', cores])
    await run.saying(/[1-9]\d* of 1000000 seeds, \d+ a second, .* left, \d+ changes of primary, 0 broken/)
    run.child.kill('SIGINT')
    expect(await run.code).toBe(0)
    expect(run.out()).toMatch(/faults injected: .*kill primary \d+/)
    expect(run.out()).toMatch(
      /^[1-9]\d* seeds, 0 broken, \d+ changes of primary, \d+ seeds a second, hash [0-9a-f]{14}$/m,
    )
  })
})
