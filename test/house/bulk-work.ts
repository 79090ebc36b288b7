/**
 * What moves or hashes whole databases runs in a thread (src/drivers/postgres/copy/bulk-work.ts): no agent imports it, directly or
 * by way of others. Types are free, and so is the path of the thread's program.
 */
import ts from 'typescript'
import { importsOf, isTest, parse, resolveFrom, type Source, walk } from './source.ts'

const AGENT = 'src/agent/main.ts'
const BULK = ['server-copy', 'copied-archives', 'unpack-tar', 'checked-copy'].map(
  (name) => `src/drivers/postgres/copy/${name}.ts`,
)
const BULK_PACKAGES = ['tar-stream']

export function checkBulkWork(sources: readonly Source[]): string[] {
  const byPath = new Map(sources.filter((source) => !isTest(source)).map((source) => [source.path, source]))
  const seen = new Set([AGENT])
  const waiting = [AGENT]
  const found: string[] = []
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    const source = byPath.get(path)
    if (!source) continue
    for (const specifier of loadedBy(source)) {
      const file = resolveFrom(path, specifier)
      if (BULK_PACKAGES.includes(specifier) || (file && BULK.includes(file)))
        found.push(`${path} imports ${specifier}: an agent would do that work on its event loop`)
      else if (file && !seen.has(file)) {
        seen.add(file)
        waiting.push(file)
      }
    }
  }
  return found
}

/** Without what only names types. */
function loadedBy(source: Source): string[] {
  const typesOnly = new Set<string>()
  walk(parse(source), (node) => {
    const isType =
      (ts.isImportDeclaration(node) && node.importClause?.isTypeOnly) ||
      (ts.isExportDeclaration(node) && node.isTypeOnly)
    if (isType && node.moduleSpecifier) typesOnly.add((node.moduleSpecifier as ts.StringLiteral).text)
    if (ts.isImportTypeNode(node)) typesOnly.add(node.getText().replace(/^import\(['"](.*)['"]\).*$/s, '$1'))
  })
  const loads = importsOf(source).map(({ specifier }) => specifier)
  return loads.filter((specifier) => {
    const times = loads.filter((one) => one === specifier).length
    return !(typesOnly.has(specifier) && times === 1)
  })
}
