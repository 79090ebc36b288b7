/**
 * Splits SQL as PostgreSQL's own scanner does: comments nest, dollar quotes have tags, quotes double, and with
 * standard_conforming_strings off a backslash escapes in every string. Pure. Text that makes no sense yields tokens that make
 * none: the server will say so.
 */

export interface Token {
  /** `word`: folded to lower case. `name`: it was in double quotes. `string`: its content, escapes left as they are. */
  readonly kind: 'word' | 'name' | 'string' | 'sign'
  readonly value: string
  readonly start: number
  readonly end: number
}

/** The statements that are not empty, each as its tokens. */
export function statementsOf(text: string, backslashEscapes: boolean): Token[][] {
  const statements: Token[][] = [[]]
  for (const token of tokensOf(text, backslashEscapes)) {
    if (token.kind === 'sign' && token.value === ';') statements.push([])
    else statements.at(-1)?.push(token)
  }
  return statements.filter((tokens) => tokens.length > 0)
}

/** Sticky patterns, tried in turn at each place; whatever none of them takes is a sign of one character. */
/** A comment of this form ends at either end of line, as in PostgreSQL's scan.l. */
const SPACE = /(?:\s+|--[^\n\r]*)+/y
const WORD = /[a-z_\x80-\xff][\w$\x80-\xff]*/iy
const NUMBER = /\d[\w.]*/y
const NAME = /"(?:[^"]|"")*"?/y
const PLAIN_STRING = /'(?:[^']|'')*'?/y
const ESCAPE_STRING = /'(?:[^'\\]|''|\\[\s\S])*'?/y
const PARAMETER = /\$\d+/y
const DOLLAR = /\$(?:[a-z_\x80-\xff][\w\x80-\xff]*)?\$/iy

function* tokensOf(text: string, backslashEscapes: boolean): Generator<Token> {
  let at = 0
  const taken = (pattern: RegExp): string => {
    pattern.lastIndex = at
    return pattern.exec(text)?.[0] ?? ''
  }
  while (at < text.length) {
    const start = at
    const space = taken(SPACE)
    if (space !== '' || text.startsWith('/*', at)) {
      at = space === '' ? endOfComment(text, at) : at + space.length
      continue
    }
    const token = tokenAt(text, at, backslashEscapes, taken)
    at = token.end
    if (at <= start) return
    yield token
  }
}

function tokenAt(text: string, at: number, backslashEscapes: boolean, taken: (pattern: RegExp) => string): Token {
  const from = (kind: Token['kind'], value: string, length: number): Token => {
    return { kind, value, start: at, end: at + length }
  }
  const word = taken(WORD)
  if (word !== '') {
    const isEscaped = /^e$/i.test(word) && text[at + 1] === "'"
    if (!isEscaped) return from('word', word.toLowerCase(), word.length)
    ESCAPE_STRING.lastIndex = at + 1
    const string = ESCAPE_STRING.exec(text)?.[0] ?? ''
    return from('string', string.slice(1, -1), 1 + string.length)
  }
  const name = taken(NAME)
  if (name !== '') return from('name', name.slice(1, -1).replaceAll('""', '"'), name.length)
  const string = taken(backslashEscapes ? ESCAPE_STRING : PLAIN_STRING)
  if (string !== '') return from('string', string.slice(1, -1).replaceAll("''", "'"), string.length)
  const tag = taken(DOLLAR)
  if (tag !== '') {
    const end = text.indexOf(tag, at + tag.length)
    const length = end < 0 ? text.length - at : end + tag.length - at
    return from('string', text.slice(at + tag.length, at + length - tag.length), length)
  }
  const parameter = taken(PARAMETER)
  if (parameter !== '') return from('sign', parameter, parameter.length)
  return from('sign', text[at] ?? '', Math.max(1, taken(NUMBER).length))
}

/** Comments of this form nest. An unfinished one ends with the text. */
function endOfComment(text: string, start: number): number {
  const edge = /\/\*|\*\//g
  edge.lastIndex = start
  let depth = 0
  for (let found = edge.exec(text); found; found = edge.exec(text)) {
    depth += found[0] === '/*' ? 1 : -1
    if (depth === 0) return edge.lastIndex
  }
  return text.length
}

export function isWord(token: Token | undefined, value: string): boolean {
  return token?.kind === 'word' && token.value === value
}

export function isWordIn(tokens: readonly Token[], word: string): boolean {
  return tokens.some((token) => isWord(token, word))
}

/** Also in double quotes. */
export function isNameIn(tokens: readonly Token[], name: string): boolean {
  return tokens.some((token) => nameOf(token) === name)
}

export function wordAt(tokens: readonly Token[], at: number): string | undefined {
  const token = tokens[at]
  return token?.kind === 'word' ? token.value : undefined
}

export function nameOf(token: Token | undefined): string | undefined {
  return token?.kind === 'word' || token?.kind === 'name' ? token.value : undefined
}

/** The text from the first token to the last. */
export function sliceOf(tokens: readonly Token[], text: string): string {
  return text.slice(tokens[0]?.start ?? 0, tokens.at(-1)?.end ?? 0)
}
