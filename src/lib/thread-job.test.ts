import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { UnderstudyError } from '../errors.ts'
import { builtBeside, inThread } from './thread-job.ts'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'understudy-thread-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** A thread that does this. It needs dist/, as every thread does. */
function program(work: string): URL {
  const path = join(folder, 'thread.mjs')
  const lib = builtBeside('./thread-job.js', import.meta.url).href
  const errors = builtBeside('../errors.js', import.meta.url).href
  writeFileSync(
    path,
    `import { serveThreadJob } from '${lib}'\nimport { UnderstudyError } from '${errors}'\nserveThreadJob(async (input, parent) => {\n${work}\n})`,
  )
  return pathToFileURL(path)
}

const { signal } = new AbortController()

test('a thread gets its input, says how far it is, asks, and has a result', async () => {
  const said: unknown[] = []
  const hear = (one: unknown) => {
    said.push(one)
    return one === 'which?' ? 3 : undefined
  }
  const work = "parent.say('begun'); const more = await parent.ask('which?'); return { sum: input.n + BigInt(more) }"
  expect(await inThread({ program: program(work), input: { n: 4n }, signal, hear })).toEqual({ sum: 7n })
  expect(said).toEqual(['begun', 'which?'])
})

test('what the work throws comes back with its code', async () => {
  const thrown = (work: string) => inThread({ program: program(work), input: null, signal }).catch((error) => error)
  const ours = await thrown("throw new UnderstudyError('UND_REFUSED', 'no such backup')")
  expect(ours).toBeInstanceOf(UnderstudyError)
  expect(ours).toMatchObject({ code: 'UND_REFUSED', message: 'no such backup' })
  const full = await thrown("throw Object.assign(new Error('no space left'), { code: 'ENOSPC' })")
  expect(full).not.toBeInstanceOf(UnderstudyError)
  expect(full).toMatchObject({ code: 'ENOSPC', message: 'no space left' })
})

test.each([
  ['throws out of turn', "setImmediate(() => { throw new Error('out of turn') }); await new Promise(() => {})", /turn/],
  ['exits', 'process.exit(3)', /a thread ended with code 3 before its work was done/],
])('a thread that %s fails its job, and nothing else', async (_, work, why) => {
  await expect(inThread({ program: program(work), input: null, signal })).rejects.toThrow(why)
})

test('a throw of the one that hears ends the job', async () => {
  const hear = () => {
    throw new UnderstudyError('UND_REFUSED', 'nowhere to put it')
  }
  const job = inThread({ program: program('await parent.ask(1)'), input: null, signal, hear })
  await expect(job).rejects.toThrow('nowhere to put it')
})

test('the signal ends a thread that never looks up, and the loop here turns meanwhile', async () => {
  const ending = new AbortController()
  let turns = 0
  const timer = setInterval(() => {
    turns += 1
    if (turns === 20) ending.abort(new Error('called off'))
  }, 5)
  const hear = () => {}
  const busy = inThread({ program: program('for (;;);'), input: null, signal: ending.signal, hear })
  await expect(busy).rejects.toThrow('called off')
  clearInterval(timer)
  expect(turns).toBeGreaterThanOrEqual(20)
  await expect(inThread({ program: program(''), input: null, signal: ending.signal })).rejects.toThrow('called off')
})
