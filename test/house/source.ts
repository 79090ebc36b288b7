/** The sources as data, so that each rule is a function from files to sentences and can be tried on files made up. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, posix } from 'node:path'
import ts from 'typescript'

export interface Source {
  /** From the repository's root, with slashes: `src/core/model.ts`. */
  readonly path: string
  readonly text: string
}

export interface Import {
  /** As it is written: `./model.ts`, `zod`, `node:fs`. */
  readonly specifier: string
  /** The file meant, from the repository's root, when it is a relative one. */
  readonly file: string | undefined
  readonly line: number
}

/** Every TypeScript file under a folder, sorted, so that complaints come in the same order everywhere. None is fine. */
export function readSources(root: string, folder: string): Source[] {
  if (!existsSync(join(root, folder))) return []
  const entries = readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length).replace(/^\/+/, ''))
    .sort()
    .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }))
}

export const isTest = ({ path }: Source): boolean => path.endsWith('.test.ts')

/** `src/core/problems/x.ts` is in the room `core`, `src/errors.ts` in `errors`. */
export function roomOf(path: string): string {
  return (path.split('/')[1] ?? '').replace(/\.ts$/, '')
}

const parsed = new WeakMap<Source, ts.SourceFile>()

export function parse(source: Source): ts.SourceFile {
  const known = parsed.get(source) ?? ts.createSourceFile(source.path, source.text, ts.ScriptTarget.Latest, true)
  parsed.set(source, known)
  return known
}

/** Calls `visit` for every node of a file, depth first. */
export function walk(node: ts.Node, visit: (node: ts.Node) => void): void {
  visit(node)
  ts.forEachChild(node, (child) => walk(child, visit))
}

export function lineOf(source: Source, node: ts.Node): number {
  return parse(source).getLineAndCharacterOfPosition(node.getStart()).line + 1
}

/** Every comment of a file, in order. Comments stand before or after a token; what only looks like one is inside of it. */
export function commentsOf(source: Source): { readonly line: number; readonly text: string }[] {
  const file = parse(source)
  const found = new Map<number, ts.CommentRange>()
  const visit = (node: ts.Node): void => {
    const before = ts.getLeadingCommentRanges(source.text, node.getFullStart()) ?? []
    const after = ts.getTrailingCommentRanges(source.text, node.getEnd()) ?? []
    for (const range of [...before, ...after]) found.set(range.pos, range)
    for (const child of node.getChildren(file)) visit(child)
  }
  visit(file)
  return [...found.values()]
    .sort((a, b) => a.pos - b.pos)
    .map(({ pos, end }) => ({
      line: file.getLineAndCharacterOfPosition(pos).line + 1,
      text: source.text.slice(pos, end),
    }))
}

/** Imports of every form: static, `export … from`, `import()` and `import('…')` in types. */
export function importsOf(source: Source): Import[] {
  const imports: Import[] = []
  walk(parse(source), (node) => {
    const specifier = specifierOf(node)
    if (specifier === undefined) return
    imports.push({ specifier, file: resolveFrom(source.path, specifier), line: lineOf(source, node) })
  })
  return imports
}

function specifierOf(node: ts.Node): string | undefined {
  if ((ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) && node.moduleSpecifier) {
    return ts.isStringLiteral(node.moduleSpecifier) ? node.moduleSpecifier.text : undefined
  }
  if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument) && ts.isStringLiteral(node.argument.literal)) {
    return node.argument.literal.text
  }
  const [argument] =
    ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword ? node.arguments : []
  return argument && ts.isStringLiteral(argument) ? argument.text : undefined
}

/** A relative specifier as a path from the root; built files are spoken of as the sources they come from. */
export function resolveFrom(path: string, specifier: string): string | undefined {
  if (!/^\.\.?\//.test(specifier)) return undefined
  return posix.join(posix.dirname(path), specifier.replace(/\.js$/, '.ts'))
}
