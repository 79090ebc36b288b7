/** The examples of docs/testing.md are performed as they stand; and each of them fails when its cluster cannot do what it expects. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createJiti } from 'jiti'
import { describe, expect, it } from 'vitest'
import { PUBLIC_VALUES } from '../src/config/load-config.ts'
import * as testing from '../src/testing.ts'

const page = readFileSync(join(import.meta.dirname, '../docs/testing.md'), 'utf8')
const examples = [...page.matchAll(/```ts\n([\s\S]*?)```/g)].map((match) => match[1] ?? '')

interface Example {
  readonly title: string
  run(): Promise<void>
}

/** The tests that an example declares. */
async function testsOf(example: string): Promise<Example[]> {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-page-'))
  try {
    const declared: Example[] = []
    const test = (title: string, run: () => Promise<void>) => void declared.push({ title, run })
    const jiti = createJiti(import.meta.url, {
      fsCache: false,
      moduleCache: false,
      virtualModules: { understudy: PUBLIC_VALUES, 'understudy/testing': { ...testing }, vitest: { test, expect } },
    })
    writeFileSync(join(folder, 'example.ts'), example)
    await jiti.import(join(folder, 'example.ts'))
    return declared
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const declared = await Promise.all(examples.map(testsOf))

describe('docs/testing.md', () => {
  it('has examples that declare tests', () => {
    expect(declared.map((tests) => tests.length)).toEqual([2, 1, 1])
  })

  it.each(declared.flat().map(({ title, run }) => [title, run] as const))('%s', async (_, run) => {
    await run()
  })

  it.each([
    ['a deadline that no failover keeps', 0, 'expect db served within 2s', 'expect db served within 5ms'],
    ['a second loss that leaves no quorum', 0, 'kill db.primary', 'kill db.primary\nkill a\nkill b'],
    [
      'one replica, on the node that is lost',
      1,
      'instances: 3, listen: 5432',
      "instances: 1, nodes: ['a'], listen: 5432",
    ],
  ])('its first example fails with %s', async (_, which, good, bad) => {
    const [example = ''] = examples
    expect(example).toContain(good)
    const tests = await testsOf(example.replace(good, bad))
    await expect(tests[which]?.run()).rejects.toThrow(testing.ScenarioFailed)
  })
})
