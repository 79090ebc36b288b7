/**
 * What the body of a function may do to the session that calls it. Pure.
 *
 * `none` is a promise, as for statements: whatever way the function goes, it leaves the session as it was. So a body is not
 * run in thought: every statement in it counts, and what is not understood counts as anything. SQL and PL/pgSQL are read; of
 * SQL that PL/pgSQL puts together at run time the fixed parts are read, and when these do not say what kind of statement it
 * is, it may be any. Another language may keep things for its session that no server shows.
 */

import { isWord, nameOf, statementsOf, type Token, wordAt } from '../sql-tokens.ts'
import { ANYTHING, ASK, called, type Effect, effectOfOne, together } from './statements.ts'

/** After these a statement of PL/pgSQL begins, besides after a semicolon. */
const BEFORE_STATEMENT: ReadonlySet<string> = new Set(['begin', 'then', 'else', 'loop'])
/** What has a `set` of its own inside. */
const HAS_SET: ReadonlySet<string> = new Set(['update', 'merge', 'alter', 'create', 'comment'])
/** Statements that leave a session as it was, apart from the functions that they call. */
const PLAIN_VERB =
  /^\s*\(?\s*(?:select|insert|update|delete|merge|with|values|truncate|alter|drop|analyze|refresh|reindex|grant|revoke|comment|lock|notify|copy|vacuum|create(?!\s+(?:or\s+replace\s+)?(?:local\s+|global\s+)?temp))\b/i
const SETS_NAMED = /^\s*set\s+(?:session\s+|local\s+)?"?[a-z_][\w$.]*"?\s*(?:=|to\b)/i
const DIALECT = { backslashEscapes: false, isPinned: false }

export function effectOfBody(language: string, body: string): Effect {
  if (language !== 'sql' && language !== 'plpgsql') return ANYTHING
  return together(
    statementsOf(body, false).flatMap((tokens) => partsOf(tokens).map((part) => effectOfPart(part, body))),
  )
}

/** What is between semicolons, split where PL/pgSQL begins another statement. */
function partsOf(tokens: readonly Token[]): Token[][] {
  const parts: Token[][] = [[]]
  for (const [at, token] of tokens.entries()) {
    parts.at(-1)?.push(token)
    const isLabel = token.value === '>' && tokens[at - 1]?.value === '>'
    if (isLabel || (token.kind === 'word' && BEFORE_STATEMENT.has(token.value))) parts.push([])
  }
  return parts.filter((part) => part.length > 0)
}

function effectOfPart(tokens: readonly Token[], body: string): Effect {
  const first = wordAt(tokens, 0)
  if (first === 'execute') return effectOfDynamic(tokens)
  if (first === 'call') return called(tokens) // what it calls is known by its name
  if (first === 'return' && isWord(tokens[1], 'query') && isWord(tokens[2], 'execute')) {
    return effectOfDynamic(tokens.slice(2))
  }
  const dynamicAt = tokens.findIndex((token, at) => at > 0 && isWord(token, 'execute') && isWord(tokens[at - 1], 'in'))
  const isOpened = first === 'open' ? tokens.findIndex((token) => isWord(token, 'execute')) : -1
  const at = Math.max(dynamicAt, isOpened)
  if (at > 0) return together([called(tokens.slice(0, at)), effectOfDynamic(tokens.slice(at))])
  // A `set` that belongs to nothing begins a statement, wherever it stands.
  const setAt = tokens.findIndex((token) => isWord(token, 'set'))
  const isOwn = setAt > 0 && !tokens.slice(0, setAt).some((token) => HAS_SET.has(nameOf(token) ?? ''))
  const own = isOwn ? effectOfOne(tokens.slice(setAt), body, DIALECT) : undefined
  const effect = together([effectOfOne(tokens, body, DIALECT), ...(own ? [own, ASK] : [])])
  return effect.kind === 'change' ? together([effect, ASK]) : effect
}

/** `EXECUTE expression`: as far as its fixed parts say. */
function effectOfDynamic(tokens: readonly Token[]): Effect {
  const end = tokens.findIndex((token) => isWord(token, 'using') || isWord(token, 'into'))
  const expression = tokens.slice(1, end < 0 ? undefined : end)
  const arguments_ = end < 0 ? [] : tokens.slice(end)
  const isFormat = isWord(expression[0], 'format') && expression[1]?.value === '('
  const [lead] = isFormat ? expression.slice(2) : expression
  if (lead?.kind !== 'string') return ANYTHING
  const strings = expression.filter(({ kind }) => kind === 'string').map(({ value }) => value.replaceAll("''", "'"))
  const text = strings.join(' x ').replaceAll(/%(?:\d+\$)?[-\d]*[ILs]/g, ' x ')
  const inside = together(statementsOf(text, false).map((part) => effectOfOne(part, text, DIALECT)))
  const outside = together([called(expression), called(arguments_)])
  const isFixed = expression.length === 1 || (isFormat && !/%(?:\d+\$)?[-\d]*s/.test(lead.value))
  if (SETS_NAMED.test(lead.value)) return together([ASK, inside, outside])
  if (!PLAIN_VERB.test(lead.value))
    return isFixed && expression.length === 1 ? together([ASK, inside, outside]) : ANYTHING
  // A part that is put in as it is may name any function.
  return together([inside, outside, ...(isFixed ? [] : [ASK])])
}

/** Every name in a body, also in the strings of which it makes statements. */
export function namesIn(body: string): Set<string> {
  const names = new Set<string>()
  const add = (text: string, depth: number): void => {
    for (const token of statementsOf(text, false).flat()) {
      const name = nameOf(token)
      if (name !== undefined) names.add(name)
      else if (token.kind === 'string' && depth < 3) add(token.value, depth + 1)
    }
  }
  add(body, 0)
  return names
}

/** Names of settings that a text may speak of: strings that have the form of one of the application's own. */
export function settingNamesIn(text: string): string[] {
  const found = text.matchAll(/'([a-z_][\w$]*(?:\.[a-z_][\w$]*)+)'/gi)
  return [...found].map(([, name = '']) => name.toLowerCase())
}
