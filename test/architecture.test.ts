/** The failover that ARCHITECTURE.md traces file by file: the files are there, are few, and belong together. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { ENTRIES } from './house/reach.ts'
import { importsOf, readSources } from './house/source.ts'

const root = join(import.meta.dirname, '..')
const text = readFileSync(join(root, 'ARCHITECTURE.md'), 'utf8')
const [, part = ''] = /<!-- failover -->([\s\S]*?)<!-- \/failover -->/.exec(text) ?? []
const steps = [...part.matchAll(/^(\d+)\. \[(src\/[^\]]+)\]\(([^)]+)\): \S/gm)]
const listed = steps.map(([, , path = '']) => path)
const imports = new Map(
  readSources(root, 'src').map((source) => [source.path, importsOf(source).flatMap(({ file }) => file ?? [])]),
)

/** All that these files import, and what that imports, without the files themselves unless something else leads to them. */
function reachedFrom(start: readonly string[]): ReadonlySet<string> {
  const reached = new Set<string>()
  const waiting = start.flatMap((path) => imports.get(path) ?? [])
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (reached.has(path)) continue
    reached.add(path)
    waiting.push(...(imports.get(path) ?? []))
  }
  return reached
}

describe('the failover in ARCHITECTURE.md', () => {
  test('lists at most 35 files, numbered, each once', () => {
    expect(steps.length).toBeGreaterThan(20)
    expect(steps.length).toBeLessThanOrEqual(35)
    expect(part.match(/^\d+\. /gm)).toHaveLength(steps.length)
    expect(steps.map(([, number]) => Number(number))).toEqual(steps.map((_, index) => index + 1))
    expect(new Set(listed).size).toBe(listed.length)
  })

  test('links each file by its own path', () => {
    for (const [, , path, link] of steps) expect(link).toBe(path)
  })

  test.each(listed)('%s is there, and the other files or a program lead to it', (path) => {
    expect(imports.has(path)).toBe(true)
    const others = listed.filter((other) => other !== path)
    expect(reachedFrom([...others, ...ENTRIES]).has(path)).toBe(true)
  })

  test('names every file of the core that decides a step of it', () => {
    const deciding = ['primary-failed', 'primary-evidence', 'recruit', 'elect', 'promote', 'standby-behind']
    for (const name of deciding) expect(listed).toContain(`src/core/replicated/${name}.ts`)
  })
})
