/**
 * What a statement does to the session that it is sent in, as far as its text says. Pure.
 *
 * It does not have to be complete, because of what is done with the answer. A plain `SET name = value` that succeeded alone
 * is simply remembered. For everything else that may change the session it is enough to know that it may: the server is
 * asked afterwards (state-snapshot.ts). The hole that remains is known and named in the docs: what a function does inside, when
 * nothing in the text shows it.
 */

import { statementsOf, type Token } from '../sql-tokens.ts'

/** A change that its own text describes, and that its own text can make again. */
export type Change =
  | { readonly kind: 'set'; readonly name: string; readonly text: string }
  | { readonly kind: 'reset'; readonly name: string }
  | { readonly kind: 'listen'; readonly channel: string; readonly text: string }
  /** Null: all of them. */
  | { readonly kind: 'unlisten'; readonly channel: string | null }

export type Effect =
  | { readonly kind: 'none' }
  | { readonly kind: 'change'; readonly change: Change }
  | {
      /** The server must be asked. */
      readonly kind: 'unsure'
      /** Settings of extensions or the application's own (`app.user`): the server lists these only when asked by name. */
      readonly customNames: readonly string[]
      /** A setting whose name cannot be read off the text. */
      readonly hasUnreadable: boolean
    }

const NONE: Effect = { kind: 'none' }

/** Nothing that matters can be said without one of these words. */
const SUSPICIOUS =
  /\b(?:set|reset|set_config|prepare|deallocate|listen|unlisten|discard|temp|temporary|pg_temp\w*|hold|pg_(?:try_)?advisory_(?:un)?lock\w*|do|call|load)\b/i
/** Of these, what means something wherever it stands; the others do at the beginning of a statement, or after DECLARE. */
const ANYWHERE = /\b(?:set_config|temp|temporary|pg_temp\w*|pg_(?:try_)?advisory_(?:un)?lock\w*)\b/i
const WRITES = /^\s*(?:insert|update|merge)\s/i
/** What may end what pins a session to its server. */
const UNPINNING = /\b(?:drop|close|discard|unlock)\b|pg_advisory_unlock/i

export interface Dialect {
  /** standard_conforming_strings is off: a backslash escapes in every string. */
  readonly backslashEscapes: boolean
  /** The session has something that binds it to its server: whatever may end that is of interest too. */
  readonly isPinned: boolean
}

export function effectOf(text: string, dialect: Dialect): Effect {
  if (dialect.isPinned && UNPINNING.test(text)) return { kind: 'unsure', customNames: [], hasUnreadable: false }
  if (!SUSPICIOUS.test(text) || onlyWrites(text)) return NONE
  const statements = statementsOf(text, dialect.backslashEscapes)
  const effects = statements.map((tokens) => effectOfOne(tokens, text)).filter(({ kind }) => kind !== 'none')
  const [first] = effects
  if (!first) return NONE
  if (effects.length === 1 && first.kind === 'change' && statements.length === 1) return first
  return {
    kind: 'unsure',
    customNames: effects.flatMap(customNamesOf),
    hasUnreadable: effects.some((effect) => effect.kind === 'unsure' && effect.hasUnreadable),
  }
}

/**
 * The `SET` of every UPDATE is a suspicious word, and taking the statement apart costs more than all else that the door does
 * with it. Without a semicolon inside there is one statement, and its first word tells what the others are.
 */
function onlyWrites(text: string): boolean {
  if (!WRITES.test(text) || ANYWHERE.test(text)) return false
  const end = text.indexOf(';')
  return end < 0 || text.slice(end + 1).trim() === ''
}

/** The names that have to be asked for when this cannot be taken at its word. */
export function customNamesOf(effect: Effect): readonly string[] {
  if (effect.kind === 'unsure') return effect.customNames
  if (effect.kind === 'change' && effect.change.kind === 'set' && effect.change.name.includes('.')) {
    return [effect.change.name]
  }
  return []
}

/** The text of `PREPARE name …` among the statements of `text`, alone; undefined when it cannot be found. */
export function prepareIn(text: string, name: string, backslashEscapes: boolean): string | undefined {
  for (const tokens of statementsOf(text, backslashEscapes)) {
    const [first, second] = tokens
    if (first?.kind === 'word' && first.value === 'prepare' && nameOf(second) === name) return sliceOf(tokens, text)
  }
  return undefined
}

function effectOfOne(tokens: readonly Token[], text: string): Effect {
  const word = wordAt(tokens, 0)
  switch (word) {
    case 'set':
      return effectOfSet(tokens, text)
    case 'reset': {
      const name = settingAt(tokens, 1)
      const isPlain = name !== undefined && !OWN_SYNTAX.has(name.value)
      return isPlain ? { kind: 'change', change: { kind: 'reset', name: name.value } } : unsure()
    }
    case 'listen': {
      const channel = nameOf(tokens[1])
      return channel === undefined
        ? NONE
        : { kind: 'change', change: { kind: 'listen', channel, text: sliceOf(tokens, text) } }
    }
    case 'unlisten':
      return { kind: 'change', change: { kind: 'unlisten', channel: nameOf(tokens[1]) ?? null } }
    case 'prepare':
      return wordAt(tokens, 1) === 'transaction' ? NONE : unsure()
    case 'deallocate':
    case 'discard':
    case 'do':
    case 'call':
    case 'load':
      return unsure()
    case 'create':
      return [1, 2, 3, 4].some((at) => isTemporary(wordAt(tokens, at))) || callsAny(tokens) ? unsure(tokens) : NONE
    case 'declare':
      return tokens.some(({ kind, value }) => kind === 'word' && value === 'hold') ? unsure() : NONE
    default:
      return callsAny(tokens) || intoTemporary(tokens) ? unsure(tokens) : NONE
  }
}

/** What follows SET without being the name of a setting. */
const OWN_SYNTAX: ReadonlySet<string> = new Set([
  'all',
  'role',
  'session',
  'session_authorization',
  'time',
  'names',
  'schema',
  'xml',
  'catalog',
  'transaction',
  'transaction_isolation',
  'transaction_read_only',
  'transaction_deferrable',
])

function effectOfSet(tokens: readonly Token[], text: string): Effect {
  const first = wordAt(tokens, 1)
  if (first === 'local' || first === 'transaction' || first === 'constraints') return NONE
  const name = settingAt(tokens, first === 'session' ? 2 : 1)
  if (!name || OWN_SYNTAX.has(name.value)) return unsure()
  const sign = tokens[name.next]
  if (sign?.value !== '=' && sign?.value !== 'to') return unsure()
  return { kind: 'change', change: { kind: 'set', name: name.value, text: sliceOf(tokens, text) } }
}

/** `name` or `prefix.name`; names of settings are the same in either case, quoted or not. */
function settingAt(tokens: readonly Token[], at: number): { value: string; next: number } | undefined {
  const first = nameOf(tokens[at])?.toLowerCase()
  if (first === undefined) return undefined
  const second = tokens[at + 1]?.value === '.' ? nameOf(tokens[at + 2])?.toLowerCase() : undefined
  return second === undefined ? { value: first, next: at + 1 } : { value: `${first}.${second}`, next: at + 3 }
}

function unsure(tokens: readonly Token[] = []): Effect {
  const calls = tokens.flatMap((token, at) => (isWord(token, 'set_config') ? [settingOfCall(tokens, at)] : []))
  const changing = calls.filter((call) => call !== 'local')
  const others = tokens.some(
    (token) => token.kind === 'word' && token.value !== 'set_config' && LASTING.test(token.value),
  )
  if (calls.length > 0 && changing.length === 0 && !others) return NONE
  return {
    kind: 'unsure',
    customNames: changing.filter((call) => call?.includes('.')) as string[],
    hasUnreadable: changing.includes(undefined),
  }
}

/** `set_config('name', value, is_local)`: the name; `local` when it ends with the transaction; undefined: not to be read. */
function settingOfCall(tokens: readonly Token[], at: number): string | 'local' | undefined {
  if (tokens[at + 1]?.value !== '(') return undefined
  let depth = 0
  let last = at + 1
  for (; last < tokens.length; last++) {
    if (tokens[last]?.value === '(') depth += 1
    if (tokens[last]?.value === ')') depth -= 1
    if (depth === 0) break
  }
  if (isWord(tokens[last - 1], 'true') && tokens[last - 2]?.value === ',') return 'local'
  const name = tokens[at + 2]
  return name?.kind === 'string' && tokens[at + 3]?.value === ',' ? name.value.toLowerCase() : undefined
}

const LASTING = /^(?:set_config|pg_temp\w*|pg_(?:try_)?advisory_(?:un)?lock\w*)$/

function callsAny(tokens: readonly Token[]): boolean {
  return tokens.some(({ kind, value }) => (kind === 'word' || kind === 'name') && LASTING.test(value))
}

function intoTemporary(tokens: readonly Token[]): boolean {
  return tokens.some((token, at) => isWord(token, 'into') && [1, 2].some((by) => isTemporary(wordAt(tokens, at + by))))
}

function isTemporary(word: string | undefined): boolean {
  return word === 'temp' || word === 'temporary'
}

function isWord(token: Token | undefined, value: string): boolean {
  return token?.kind === 'word' && token.value === value
}

function wordAt(tokens: readonly Token[], at: number): string | undefined {
  const token = tokens[at]
  return token?.kind === 'word' ? token.value : undefined
}

function nameOf(token: Token | undefined): string | undefined {
  return token?.kind === 'word' || token?.kind === 'name' ? token.value : undefined
}

function sliceOf(tokens: readonly Token[], text: string): string {
  return text.slice(tokens[0]?.start ?? 0, tokens.at(-1)?.end ?? 0)
}
