/**
 * No promise floats. A promise that is not awaited, returned or passed on must say what becomes of its rejection:
 * `.catch(…)`, `.then(…, …)`, or `inBackground(promise, 'what')`. `void` alone hides it. Types are needed for that, so the
 * compiler is asked.
 */
import { join } from 'node:path'
import ts from 'typescript'

/** `tsconfig`: the project whose files are looked at. Complaints about files below `folder`. */
export function checkFloating(root: string, tsconfig: string, folder: string): string[] {
  const { config } = ts.readConfigFile(join(root, tsconfig), ts.sys.readFile)
  const parsed = ts.parseJsonConfigFileContent(config, ts.sys, root)
  const program = ts.createProgram(parsed.fileNames, { ...parsed.options, noEmit: true })
  const sources = program
    .getSourceFiles()
    .filter(({ fileName }) => fileName.startsWith(`${join(root, folder)}/`) && !fileName.endsWith('.test.ts'))
  return sources.flatMap((source) => floatingIn(source, program.getTypeChecker(), root))
}

export function floatingIn(source: ts.SourceFile, checker: ts.TypeChecker, root = ''): string[] {
  const found: string[] = []
  const visit = (node: ts.Node): void => {
    const floats = floatingExpression(node)
    if (floats && isPromise(checker, floats) && !isHandled(floats)) {
      const { line } = source.getLineAndCharacterOfPosition(node.getStart())
      const where = `${source.fileName.replace(`${root}/`, '')}:${line + 1}`
      found.push(`${where}: a promise floats; await it, catch it, or hand it to inBackground(…, 'what')`)
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  return found
}

/** The value that a statement, or an arrow function which wants none, lets go: `f()`, `void f()`, `a && f()`, `() => void f()`. */
function floatingExpression(node: ts.Node): ts.Expression | undefined {
  if (ts.isExpressionStatement(node)) return letGo(node.expression)
  if (ts.isVoidExpression(node)) return letGo(node.expression)
  return undefined
}

function letGo(expression: ts.Expression): ts.Expression | undefined {
  if (ts.isParenthesizedExpression(expression)) return letGo(expression.expression)
  if (ts.isVoidExpression(expression) || ts.isAwaitExpression(expression)) return undefined // looked at by itself; awaited
  if (ts.isBinaryExpression(expression)) {
    const { kind } = expression.operatorToken
    if (kind === ts.SyntaxKind.AmpersandAmpersandToken || kind === ts.SyntaxKind.BarBarToken)
      return letGo(expression.right)
    return undefined // an assignment: the code that reads the name has it
  }
  return expression
}

function isPromise(checker: ts.TypeChecker, expression: ts.Expression): boolean {
  const type = checker.getTypeAtLocation(expression)
  const parts = type.isUnion() ? type.types : [type]
  return parts.some((part) => {
    const name = part.getSymbol()?.getName()
    return name === 'Promise' || name === 'PromiseLike'
  })
}

/** Its rejection goes somewhere: it ends in `.catch(f)` or `.then(f, g)`, perhaps with `.finally(h)` or a last `.then` behind it. */
function isHandled(expression: ts.Expression): boolean {
  if (!ts.isCallExpression(expression) || !ts.isPropertyAccessExpression(expression.expression)) return false
  const { name, expression: on } = expression.expression
  if (name.text === 'catch') return expression.arguments.length > 0
  if (name.text === 'then') return expression.arguments.length > 1
  return name.text === 'finally' && isHandled(on)
}
