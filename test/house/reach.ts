/** Dead files: what cannot be reached from where a program or a user comes in. */
import ts from 'typescript'
import { importsOf, isTest, parse, resolveFrom, type Source, walk } from './source.ts'

/** Programs, and what package.json exports. */
export const ENTRIES = [
  'src/cli/main.ts',
  'src/index.ts',
  'src/testing.ts',
  'src/client/index.ts',
  'src/balancer/main.ts',
  'src/agent/main.ts',
  'src/agent/fence-process.ts',
  'src/sim/seed-worker.ts',
  'src/drivers/postgres/copy/bulk-thread.ts',
  'src/sim/scenario/runner.ts', // told by tests, and later by drills
]

/** Fakes, made-up clocks, contract suites and invariants are there for tests: a test that uses one keeps it alive. */
const FOR_TESTS = /(^|\/)(fake|virtual|invariants)[^/]*\.ts$|\/contract\/[^/]*\.ts$/

export function checkReach(sources: readonly Source[], entries: readonly string[] = ENTRIES): string[] {
  const byPath = new Map(sources.map((source) => [source.path, source]))
  const shipped = sources.filter((source) => !isTest(source))
  const usedByTests = sources
    .filter(isTest)
    .flatMap(edgesOf)
    .filter((path) => FOR_TESTS.test(path))
  const reached = new Set<string>()
  const waiting = [...entries, ...usedByTests]
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    const source = byPath.get(path)
    if (source === undefined || reached.has(path)) continue
    reached.add(path)
    waiting.push(...edgesOf(source))
  }
  return shipped.filter(({ path }) => !reached.has(path)).map(({ path }) => `${path}: nothing that runs reaches it`)
}

/** Whether the house is complete enough to judge: as long as no program is there, every room would be called dead. */
export function canBeJudged(sources: readonly Source[]): boolean {
  return sources.some(({ path }) => path === 'src/cli/main.ts')
}

/** What a file imports, and what it names as text: processes are started by the path of their file. */
function edgesOf(source: Source): string[] {
  const edges = importsOf(source).flatMap(({ file }) => file ?? [])
  walk(parse(source), (node) => {
    if (!ts.isStringLiteralLike(node)) return
    const file = resolveFrom(source.path, node.text)
    if (file !== undefined) edges.push(file)
  })
  return edges
}
