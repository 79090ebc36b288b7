/**
 * What a statement does to the session that it is sent in, as far as its text says. Pure.
 *
 * A plain `SET name = value` that succeeded alone is simply remembered. For everything else that may change the session it is
 * enough to know that it may: the server is asked afterwards (state-snapshot.ts). What no text of the client shows, because a function,
 * a trigger, a view or a policy does it, is in the catalogue of the database (database-catalogue.ts). So `none` is a promise: this
 * statement leaves the session as it was.
 */

import { isNameIn, isWord, isWordIn, nameOf, sliceOf, statementsOf, type Token, wordAt } from '../sql-tokens.ts'

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
      /** A custom setting that ends with its transaction: it exists from then on, with an empty value if it had none. */
      readonly kind: 'touch'
      readonly customNames: readonly string[]
    }
  | {
      /** The server must be asked. */
      readonly kind: 'unsure'
      /** Settings of extensions or the application's own (`app.user`): the server lists these only when asked by name. */
      readonly customNames: readonly string[]
      /** The name of a custom setting is the value of these parameters. */
      readonly namesIn?: readonly number[]
      /** It may do what cannot be asked for: a setting whose name cannot be read, or a state that the server does not show. */
      readonly isUnknowable: boolean
    }

export type Unsure = Extract<Effect, { kind: 'unsure' }>

const NONE: Effect = { kind: 'none' }
/** It may do anything that can be asked for. */
export const ASK: Unsure = { kind: 'unsure', customNames: [], isUnknowable: false }
/** It may do what cannot be asked for. */
export const ANYTHING: Unsure = { ...ASK, isUnknowable: true }

/** Nothing that matters can be said without one of these words. */
const SUSPICIOUS =
  /\b(?:set|reset|set_config|prepare|execute|deallocate|listen|unlisten|discard|temp|temporary|pg_temp\w*|hold|pg_(?:try_)?advisory_(?:un)?lock\w*|pg_settings|setseed|dblink_\w+|pg_replication_origin_\w+|do|call|load)\b/i
/** A name or a string with escapes, which may be any name. */
const ESCAPED = /u&["']/i
/** Of these, what means something wherever it stands; the others do at the beginning of a statement, or after DECLARE. */
const ANYWHERE =
  /\b(?:set_config|temp|temporary|pg_temp\w*|pg_(?:try_)?advisory_(?:un)?lock\w*|pg_settings|setseed|dblink_\w+|pg_replication_origin_\w+)\b/i
/** While a schema of temporary tables is on the search path, these make some. */
const MAKES = /\b(?:create|into|import|do|call|execute)\b/i
const WRITES = /^\s*(?:insert|update|merge)\s/i
/** What may end what pins a session to its server. */
const UNPINNING = /\b(?:drop|close|discard|unlock)\b|pg_advisory_unlock/i

export interface Dialect {
  /** standard_conforming_strings is off: a backslash escapes in every string. */
  readonly backslashEscapes: boolean
  /** The session has something that binds it to its server: whatever may end that is of interest too. */
  readonly isPinned: boolean
  /** Tables that are made without a word about it are temporary. */
  readonly makesTemporary?: boolean
  /** Prepared by PREPARE: the statements. */
  readonly sqlPrepared?: ReadonlyMap<string, string>
  /** What the database does to a session without a word about it (database-catalogue.ts). */
  readonly hidden?: Hidden | undefined
  /** What a block of code does. Without it, it may do anything. */
  readonly readBody?: (language: string, body: string) => Effect
}

export interface Hidden {
  effectOf(text: string): Effect
}

export function effectOf(text: string, dialect: Dialect): Effect {
  const plain = effectOfText(text, dialect)
  const hidden = dialect.hidden?.effectOf(text)
  return hidden === undefined || hidden.kind === 'none' ? plain : together([plain, hidden])
}

function effectOfText(text: string, dialect: Dialect): Effect {
  if (dialect.isPinned && UNPINNING.test(text)) return ASK
  if (dialect.makesTemporary === true && MAKES.test(text)) return ASK
  if (!isSuspicious(text)) return NONE
  const statements = statementsOf(text, dialect.backslashEscapes)
  const effects = statements.map((tokens) => effectOfOne(tokens, text, dialect))
  const [first] = effects
  if (effects.length === 1 && first) return first
  return together(effects)
}

/** Several, one after the other: none of them can be taken at its word. */
export function together(all: readonly Effect[]): Effect {
  const effects = all.filter(({ kind }) => kind !== 'none')
  const [first] = effects
  if (!first) return NONE
  if (effects.length === 1 && first.kind !== 'change') return first
  const customNames = effects.flatMap(customNamesOf)
  if (effects.every(({ kind }) => kind === 'touch')) return { kind: 'touch', customNames }
  const unsure = effects.filter((effect) => effect.kind === 'unsure')
  return {
    kind: 'unsure',
    customNames,
    namesIn: unsure.flatMap(({ namesIn = [] }) => namesIn),
    isUnknowable: unsure.some(({ isUnknowable }) => isUnknowable),
  }
}

/** In two looks: a pattern that has both, words and what is no word, takes three times as long. */
function isSuspicious(text: string): boolean {
  return ESCAPED.test(text) || (SUSPICIOUS.test(text) && !onlyWrites(text))
}

/**
 * The `SET` of every UPDATE is a suspicious word, and taking the statement apart costs more than all else that the
 * balancer does with it. Without a semicolon inside there is one statement, and its first word tells what the others
 * are.
 */
function onlyWrites(text: string): boolean {
  if (!WRITES.test(text) || ANYWHERE.test(text)) return false
  const end = text.indexOf(';')
  return end < 0 || text.slice(end + 1).trim() === ''
}

/** The names that have to be asked for when this cannot be taken at its word. */
export function customNamesOf(effect: Effect): readonly string[] {
  if (effect.kind === 'unsure' || effect.kind === 'touch') return effect.customNames
  const change = effect.kind === 'change' ? effect.change : undefined
  return (change?.kind === 'set' || change?.kind === 'reset') && change.name.includes('.') ? [change.name] : []
}

/** The text of `PREPARE name …` among the statements of `text`, alone; undefined when it cannot be found. */
export function prepareIn(text: string, name: string, backslashEscapes: boolean): string | undefined {
  for (const tokens of statementsOf(text, backslashEscapes)) {
    const [first, second] = tokens
    if (first?.kind === 'word' && first.value === 'prepare' && nameOf(second) === name) return sliceOf(tokens, text)
  }
  return undefined
}

/** `tokens`: one statement of `text`. */
export function effectOfOne(tokens: readonly Token[], text: string, dialect: Dialect): Effect {
  const word = wordAt(tokens, 0)
  switch (word) {
    case 'set':
      return effectOfSet(tokens, text)
    case 'reset': {
      const name = settingAt(tokens, 1)
      // One of the application's own exists on, with an empty value: that has to be asked for.
      if (name?.value.includes('.')) return { ...ASK, customNames: [name.value] }
      const isPlain = name !== undefined && !OWN_SYNTAX.has(name.value)
      return isPlain ? { kind: 'change', change: { kind: 'reset', name: name.value } } : ASK
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
      return wordAt(tokens, 1) === 'transaction' ? NONE : together([ASK, called(tokens)])
    case 'execute':
      return effectOfExecute(nameOf(tokens[1]), dialect)
    case 'load':
      return ANYTHING
    case 'deallocate':
    case 'discard':
      return ASK
    case 'do':
      return effectOfBlock(tokens, dialect)
    case 'call':
      return together([ASK, called(tokens)])
    case 'create':
      return [1, 2, 3, 4].some((at) => isTemporary(wordAt(tokens, at))) ? ASK : called(tokens)
    case 'declare':
      return isWordIn(tokens, 'hold') ? together([ASK, called(tokens)]) : called(tokens)
    case 'update':
      return isNameIn(tokens, 'pg_settings') ? ASK : called(tokens) // its rule is a set_config
    default:
      if (isNameIn(tokens, 'pg_settings') && isWordIn(tokens, 'update')) return ASK
      return intoTemporary(tokens) ? ASK : called(tokens)
  }
}

/** What was prepared is known by its text once the server was asked. */
function effectOfExecute(name: string | undefined, dialect: Dialect): Effect {
  const text = name === undefined ? undefined : dialect.sqlPrepared?.get(name)
  const [tokens] = text === undefined ? [] : statementsOf(text, dialect.backslashEscapes)
  if (text === undefined || !tokens) return ASK
  const from = tokens.findIndex((token) => isWord(token, 'as')) + 1
  const { sqlPrepared: _, ...others } = dialect // what is prepared is no EXECUTE
  return together([effectOfOne(tokens.slice(from), text, others), dialect.hidden?.effectOf(text) ?? NONE])
}

/** `DO`: its language and what it says, as for the body of a function. */
function effectOfBlock(tokens: readonly Token[], { readBody }: Dialect): Effect {
  const at = tokens.findIndex((token) => isWord(token, 'language'))
  const language = at < 0 ? 'plpgsql' : (nameOf(tokens[at + 1]) ?? '')
  const body = tokens.find((token, index) => token.kind === 'string' && index !== at + 1)?.value ?? ''
  return together([ASK, readBody?.(language, body) ?? ANYTHING])
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

export function effectOfSet(tokens: readonly Token[], text: string): Effect {
  const first = wordAt(tokens, 1)
  if (first === 'transaction' || first === 'constraints') return NONE
  const name = settingAt(tokens, first === 'session' || first === 'local' ? 2 : 1)
  if (first === 'local') return name?.value.includes('.') ? { kind: 'touch', customNames: [name.value] } : NONE
  if (!name || OWN_SYNTAX.has(name.value)) return ASK
  const sign = tokens[name.next]
  if (sign?.value !== '=' && sign?.value !== 'to') return ASK
  // DEFAULT of one of the application's own leaves it with an empty value.
  if (name.value.includes('.') && isWord(tokens[name.next + 1], 'default')) return { ...ASK, customNames: [name.value] }
  return { kind: 'change', change: { kind: 'set', name: name.value, text: sliceOf(tokens, text) } }
}

/** `name` or `prefix.name`; names of settings are the same in either case, quoted or not. */
function settingAt(tokens: readonly Token[], at: number): { value: string; next: number } | undefined {
  const first = nameOf(tokens[at])?.toLowerCase()
  if (first === undefined) return undefined
  const second = tokens[at + 1]?.value === '.' ? nameOf(tokens[at + 2])?.toLowerCase() : undefined
  return second === undefined ? { value: first, next: at + 1 } : { value: `${first}.${second}`, next: at + 3 }
}

/** Functions that leave something in their session that can be asked for. */
const DANGEROUS = /^(?:pg_temp\w*|pg_(?:try_)?advisory_(?:un)?lock\w*)$/
/** Functions that leave something that no server shows: a seed, connections of its own, an origin of replication. */
const UNKNOWABLE = /^(?:setseed|dblink_(?:connect|open|disconnect|send_query)\w*|pg_replication_origin_\w*session\w*)$/

/** What the functions do that a statement names. Any name counts as a call, and an escaped one may be any name. */
export function called(tokens: readonly Token[]): Effect {
  const effects = tokens.map((token, at): Effect => {
    if (isEscapedName(tokens, at)) return ANYTHING
    if (token.kind !== 'word' && token.kind !== 'name') return NONE
    if (token.value === 'set_config') return settingOfCall(tokens, at)
    if (UNKNOWABLE.test(token.value)) return ANYTHING
    return DANGEROUS.test(token.value) ? ASK : NONE
  })
  return together(effects)
}

/** `U&"..."` and `U&'...'` */
function isEscapedName(tokens: readonly Token[], at: number): boolean {
  const [first, sign, quoted] = [tokens[at], tokens[at + 1], tokens[at + 2]]
  if (!isWord(first, 'u') || sign?.value !== '&' || !quoted) return false
  return sign.start === first?.end && quoted.start === sign.end && (quoted.kind === 'name' || quoted.kind === 'string')
}

/** `set_config('name', value, is_local)`; also without its parentheses, as a name alone. */
export function settingOfCall(tokens: readonly Token[], at: number): Effect {
  if (tokens[at + 1]?.value !== '(') return ANYTHING
  let depth = 0
  let last = at + 1
  for (; last < tokens.length; last++) {
    if (tokens[last]?.kind === 'sign' && tokens[last]?.value === '(') depth += 1
    if (tokens[last]?.kind === 'sign' && tokens[last]?.value === ')') depth -= 1
    if (depth === 0) break
  }
  const isLocal = isWord(tokens[last - 1], 'true') && tokens[last - 2]?.value === ','
  const [name, next] = [tokens[at + 2], tokens[at + 3]]
  const isWhole = next?.value === ',' || next?.value === ':'
  if (name?.kind === 'string' && isWhole && !name.value.includes('\\')) {
    const customNames = name.value.includes('.') ? [name.value.toLowerCase()] : []
    if (!isLocal) return { ...ASK, customNames }
    return customNames.length > 0 ? { kind: 'touch', customNames } : NONE
  }
  const parameter = isWhole && name?.kind === 'sign' ? /^\$(\d+)$/.exec(name.value)?.[1] : undefined
  return parameter === undefined ? ANYTHING : { ...ASK, namesIn: [Number(parameter)] }
}

function intoTemporary(tokens: readonly Token[]): boolean {
  return tokens.some((token, at) => isWord(token, 'into') && [1, 2].some((by) => isTemporary(wordAt(tokens, at + by))))
}

function isTemporary(word: string | undefined): boolean {
  return word === 'temp' || word === 'temporary'
}
