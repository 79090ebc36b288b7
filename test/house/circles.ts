/** Files that import each other, in a circle of any length, types included: neither can be read before the other. */
import { importsOf, isTest, type Source } from './source.ts'

/** Each strongly connected group of two files or more, once, as a sentence (Tarjan, 1972). */
export function checkCircles(sources: readonly Source[]): string[] {
  const files = new Map(sources.filter((source) => !isTest(source)).map((source) => [source.path, source]))
  const seen = new Map<string, { index: number; low: number; onStack: boolean }>()
  const stack: string[] = []
  const circles: string[] = []

  const visit = (path: string): { low: number } => {
    const own = { index: seen.size, low: seen.size, onStack: true }
    seen.set(path, own)
    stack.push(path)
    for (const next of importedBy(files.get(path))) {
      const known = seen.get(next)
      if (!known) own.low = Math.min(own.low, visit(next).low)
      else if (known.onStack) own.low = Math.min(own.low, known.index)
    }
    if (own.low === own.index) close(path)
    return own
  }

  const close = (root: string): void => {
    const group = stack.splice(stack.indexOf(root))
    for (const path of group) Object.assign(seen.get(path) ?? {}, { onStack: false })
    if (group.length > 1) circles.push(`${group.sort().join(', ')} import each other`)
  }

  const importedBy = (source: Source | undefined): string[] =>
    source === undefined ? [] : importsOf(source).flatMap(({ file }) => (file && files.has(file) ? [file] : []))

  for (const path of files.keys()) if (!seen.has(path)) visit(path)
  return circles.sort()
}
