/** Words that say nothing, or say what another word of the glossary says. Each comes with what to write instead. */
import { basename } from 'node:path'
import ts from 'typescript'
import { commentsOf, lineOf, parse, type Source, walk } from './source.ts'

const INSTEAD: Readonly<Record<string, string>> = {
  manager: 'what it does: leads, processes, addresses',
  helper: 'what it helps with',
  helpers: 'what they help with',
  util: 'the one idea that is in it',
  utils: 'the one idea of each file',
  base: 'what the others have in common',
  misc: 'the one idea of each file',
  impl: 'what makes this one special: memory, embedded',
  master: 'primary',
  slave: 'standby',
  actor: 'the product is named after the theatre, the code is not',
  curtain: 'the product is named after the theatre, the code is not',
  backstage: 'the product is named after the theatre, the code is not',
  encore: 'the product is named after the theatre, the code is not',
}

/** `readJsonFile` → read, json, file. */
function wordsOf(name: string): string[] {
  return name
    .split(/(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+/)
    .map((word) => word.toLowerCase())
    .filter((word) => word !== '')
}

export function checkNames(sources: readonly Source[]): string[] {
  return sources.flatMap((source) => {
    const found = bannedIn(basename(source.path), source.path)
    walk(parse(source), (node) => {
      if (ts.isEnumDeclaration(node)) {
        found.push(`${source.path}:${lineOf(source, node)}: an enum; write a union of string literals`)
      }
      const name = declaredName(node)
      if (name !== undefined) found.push(...bannedIn(name, `${source.path}:${lineOf(source, node)}`))
    })
    return found
  })
}

function bannedIn(name: string, where: string): string[] {
  const banned = wordsOf(name).filter((word) => Object.hasOwn(INSTEAD, word))
  return banned.map((word) => `${where}: "${word}" in "${name}" says nothing of ours; write ${INSTEAD[word]}`)
}

/** Names of types and functions. Local variables are left alone: `base` may be the base of a URL. */
function declaredName(node: ts.Node): string | undefined {
  const named =
    ts.isClassDeclaration(node) ||
    ts.isInterfaceDeclaration(node) ||
    ts.isTypeAliasDeclaration(node) ||
    ts.isFunctionDeclaration(node) ||
    ts.isEnumDeclaration(node)
  return named ? node.name?.text : undefined
}

export const ANYONE = /\b(people|somebody|whoever|nobody|anybody|everybody|unwell)\b/i

/** What an operator reads names who acts: client, operator, application, agent. A word in backticks or alone is a name. */
export function checkSentences(sources: readonly Source[]): string[] {
  return sources
    .filter(({ path }) => !path.endsWith('.test.ts'))
    .flatMap((source) => {
      const found: string[] = []
      walk(parse(source), (node) => {
        const isText =
          ts.isStringLiteralLike(node) || ts.isTemplateHead(node) || ts.isTemplateMiddleOrTemplateTail(node)
        const word = isText ? ANYONE.exec(node.text.replaceAll(/`[^`]*`/g, ''))?.[0] : undefined
        if (word === undefined || !/\s/.test(node.getText())) return
        found.push(`${source.path}:${lineOf(source, node)}: "${word}" names no one; write who it is`)
      })
      return found
    })
}

const VAGUE = /\b(people|somebody|whoever|nobody|anybody|everybody|unwell|doors?|handovers?)\b/i

/** Comments name who acts as well, and call a balancer and a switchover by one name. A word in backticks is a name. */
export function checkComments(sources: readonly Source[], words = VAGUE): string[] {
  return sources.flatMap((source) =>
    commentsOf(source).flatMap(({ line, text }) => {
      const word = words.exec(text.replaceAll(/`[^`]*`/g, ''))?.[0]
      return word === undefined ? [] : [`${source.path}:${line}: "${word}" in a comment; see the glossary`]
    }),
  )
}

const NOTE = /\b(TODO|FIXME|XXX|HACK)\b/

/** Notes to oneself are kept elsewhere: what is here is meant to be so. */
export function checkNotes(sources: readonly Source[]): string[] {
  return sources.flatMap(({ path, text }) =>
    text.split('\n').flatMap((line, index) => {
      const note = NOTE.exec(line)?.[0]
      return note === undefined ? [] : [`${path}:${index + 1}: ${note}: do it, or say in the docs that it is absent`]
    }),
  )
}

/** An error that is dropped on purpose says why, in a sentence inside of the empty block. */
export function checkCatches(sources: readonly Source[]): string[] {
  return sources.flatMap((source) => {
    const found: string[] = []
    walk(parse(source), (node) => {
      if (!ts.isCatchClause(node) || node.block.statements.length > 0) return
      if (/\/[/*]/.test(node.block.getFullText())) return
      found.push(`${source.path}:${lineOf(source, node)}: an error is dropped without a sentence that says why`)
    })
    return found
  })
}
