/**
 * Core decides and does nothing else: no clock, no chance, no waiting, no machine. Same view in, same decision out. What is
 * asked of it about imagined failures (whatif) is as pure.
 */
import ts from 'typescript'
import { importsOf, isTest, lineOf, parse, roomOf, type Source, walk } from './source.ts'

const INSTEAD: Readonly<Record<string, string>> = {
  Date: 'take `now` as an argument',
  performance: 'take `now` as an argument',
  setTimeout: 'return a step; the agent waits',
  setInterval: 'return a step; the agent waits',
  setImmediate: 'return a step; the agent waits',
  queueMicrotask: 'return a step; the agent waits',
  process: 'take what you need as an argument',
  console: 'return it; the agent tells',
  fetch: 'return a step; the agent asks',
  globalThis: 'take what you need as an argument',
}

const PURE = ['core', 'whatif']

export function checkPurity(sources: readonly Source[]): string[] {
  return sources.filter((source) => PURE.includes(roomOf(source.path)) && !isTest(source)).flatMap(checkFile)
}

function checkFile(source: Source): string[] {
  const found = importsOf(source)
    .filter(({ file }) => file === undefined)
    .map(
      ({ specifier, line }) =>
        `${source.path}:${line}: ${roomOf(source.path)} imports ${specifier}: it may see nothing outside the house`,
    )
  const say = (node: ts.Node, what: string, instead: string) => {
    found.push(`${source.path}:${lineOf(source, node)}: ${roomOf(source.path)} uses ${what}: ${instead}`)
  }
  walk(parse(source), (node) => {
    if (ts.isAwaitExpression(node)) say(node, 'await', 'decide from what is in the view')
    if (ts.canHaveModifiers(node) && ts.getModifiers(node)?.some(({ kind }) => kind === ts.SyntaxKind.AsyncKeyword)) {
      say(node, 'async', 'decide from what is in the view')
    }
    if (!ts.isIdentifier(node) || isNameOnly(node)) return
    const instead = Object.hasOwn(INSTEAD, node.text) ? INSTEAD[node.text] : undefined
    if (instead !== undefined) say(node, node.text, instead)
    if (node.text === 'Math' && node.parent.getText() === 'Math.random')
      say(node, 'Math.random', 'take a Random as an argument')
  })
  return found
}

/** `event.process` and `{ process: 1 }` name a property, not the global. */
function isNameOnly(node: ts.Identifier): boolean {
  const { parent } = node
  if (ts.isPropertyAccessExpression(parent)) return parent.name === node
  if (ts.isPropertyAssignment(parent) || ts.isPropertySignature(parent) || ts.isQualifiedName(parent)) return true
  return ts.isMethodSignature(parent) || ts.isMethodDeclaration(parent) || ts.isPropertyDeclaration(parent)
}
