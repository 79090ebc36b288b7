/**
 * What is known of one session: whether anything is under way in it, and what it would need on another server. Pure: the
 * passage tells it what it relays.
 *
 * Idle means: the last ReadyForQuery said `I`, every request that asks for one has got its own, and no message of the
 * extended protocol is waiting for its Sync. Only then is the session nothing but its state, and can be moved.
 *
 * State comes from three sources, the more exact one first: what the server reports by itself (ParameterStatus, ParseComplete);
 * what it answers when asked (state-snapshot.ts); and the text of a plain statement that succeeded alone (statements.ts). `unsure`
 * says that it must be asked again before anything is known.
 */
import type { CutReason } from '../../../core/replicated/session-counts.ts'
import { effectOfBody } from './function-bodies.ts'
import type { Snapshot } from './state-snapshot.ts'
import { type Change, customNamesOf, type Effect, effectOf, type Hidden } from './statements.ts'

const IDLE = 0x49 // I

/** A session with more than this keeps its further prepared statements only as long as its server lives. */
const PREPARED_MAX_BYTES = 4 * 1024 * 1024

/** How the server reads the bytes of a text: client_encoding and standard_conforming_strings. */
export interface Writing {
  readonly encoding: string
  readonly conforming: string
}

/** A statement, or a message, that makes something again. */
export interface Again<T> {
  readonly text: T
  /** Undefined: it means the same however it is read. */
  readonly writing: Writing | undefined
}

/** What is answered in order, besides what is counted by ReadyForQuery. */
interface Expected {
  readonly kind: 'parse' | 'close' | 'portal'
  readonly name: string
  /** Of a Parse that is remembered. */
  readonly bytes: Buffer | undefined
  /** Answered, or skipped by the server, when so many ReadyForQuery have come. */
  readonly unit: number
}

export class SessionState {
  /** What the client was told, by name. */
  readonly parameters = new Map<string, string>()
  /** What it logged in with. */
  loginWriting: Writing | undefined
  /** Settings by name: the statement that makes each again. */
  readonly settings = new Map<string, Again<string>>()
  /** Prepared by the protocol: the whole Parse message. The unnamed one has the empty name. */
  readonly prepared = new Map<string, Again<Buffer>>()
  /** Prepared by PREPARE: the statement. */
  readonly sqlPrepared = new Map<string, string>()
  /** Of those, and of what the server told about channels. */
  sqlWriting: Writing | undefined
  /** Channels: the statement that listens again. */
  readonly channels = new Map<string, Again<string>>()
  role: string | undefined
  sessionUser: string | undefined
  /** Why it is bound to its server, if it is. */
  pin: CutReason | undefined
  /** The server must be asked before anything is known. */
  unsure = false
  /** Settings that are only told when asked for by name. */
  readonly customNames = new Set<string>()
  /** It may have something that no question can find. */
  #isUnknowable = false
  /** What its database does without a word about it; undefined while that was not read yet. */
  hidden: Hidden | undefined
  /** It goes on also when something of it is not known. */
  isRelaxed = false
  /** It has been on another server before. */
  moved = false
  /** Of the application's own settings those that exist: one that ends with its transaction adds nothing to them. */
  readonly #defined = new Set<string>()
  /** Backslashes were escapes in every string, at some time. */
  #escaped = false
  #preparedInUnit: string[] = []
  #unitWriting: Writing | undefined
  #preparedBytes = 0
  /** Prepared statements that may change the session whenever they are executed. */
  readonly #changing = new Map<string, Effect>()
  readonly #expected: Expected[] = []
  /** How many ReadyForQuery were asked for, and how many have come. */
  #asked = 0
  #answered = 0
  #unsynced = false
  /** How many had been asked for when the server was asked what the session has. */
  #knownAt = -1
  #status = IDLE
  #failed = false
  /** There are prepared statements that cannot be prepared again. */
  #isTooMuch = false
  #copying = false
  #lastWasQuery = false
  #change: Change | undefined
  #changeWriting: Writing | undefined

  get idle(): boolean {
    return this.quiet && this.#status === IDLE
  }

  /** Nothing is unanswered, but a transaction may be open. */
  get quiet(): boolean {
    return this.#asked === this.#answered && !this.#unsynced
  }

  /** Its client may be held now: no transaction was open when the server spoke last, and the server waits for no message. */
  get mayPause(): boolean {
    return this.#status === IDLE && !this.#unsynced && !this.#copying
  }

  /** One answer is under way, and none behind it. */
  get isLastAnswer(): boolean {
    return this.#asked - this.#answered <= 1
  }

  /** Nothing was sent since the server was asked: what it said still holds. */
  get isKnown(): boolean {
    return this.idle && this.#knownAt === this.#asked
  }

  /** Why it cannot be moved at this moment, apart from how it logged in. */
  get obstacle(): CutReason | undefined {
    if (this.#copying) return 'copy'
    if (!this.quiet) return 'in-statement'
    if (this.#status !== IDLE) return 'in-transaction'
    const pin = this.isRelaxed && this.pin === 'state-unknown' ? undefined : this.pin
    return this.unsure && !this.isRelaxed ? 'state-unknown' : pin
  }

  sentQuery(text: string): void {
    this.#mix()
    const alone = this.idle
    this.#asked += 1
    this.#lastWasQuery = true
    this.#forget('')
    const effect = this.#effectOf(text)
    if (effect.kind === 'none') return
    if (effect.kind === 'change' && alone) {
      this.#change = effect.change
      this.#changeWriting = this.#writingOf(text)
    } else this.#note(effect)
  }

  /** Something else is sent before the answer: which of the two it belongs to can no longer be told. */
  #mix(): void {
    if (!this.#change) return
    this.#note({ kind: 'change', change: this.#change })
    this.#change = undefined
  }

  sentParse(name: string, text: string, bytes: Buffer | undefined): void {
    this.#mix()
    this.#unsynced = true
    const effect = this.#effectOf(text)
    if (effect.kind === 'none') this.#changing.delete(name)
    else this.#changing.set(name, effect)
    this.#expected.push({ kind: 'parse', name, bytes, unit: this.#asked })
  }

  /** Whether `sentBind` wants to hear the name of the statement. */
  get watchesBinds(): boolean {
    return this.#changing.size > 0
  }

  /** `parameterOf`: the value of one of its parameters, counted from 1. */
  sentBind(statement: string, parameterOf: (parameter: number) => string | undefined): void {
    const effect = this.#changing.get(statement)
    if (!effect) return
    this.#note(effect)
    if (effect.kind !== 'unsure') return
    for (const parameter of effect.namesIn ?? []) {
      const name = parameterOf(parameter)
      if (name === undefined) this.#isUnknowable = true
      else if (name.includes('.')) this.customNames.add(name.toLowerCase())
    }
  }

  sentClose(name: string): void {
    this.#unsynced = true
    this.#expected.push({ kind: 'close', name, bytes: undefined, unit: this.#asked })
  }

  sentClosePortal(): void {
    this.#unsynced = true
    this.#expected.push({ kind: 'portal', name: '', bytes: undefined, unit: this.#asked })
  }

  /** Any other message that a Sync must follow. */
  sentExtended(): void {
    this.#mix()
    this.#unsynced = true
  }

  sentSync(): void {
    if (this.#copying && !this.#lastWasQuery) return // the server drops it while it takes data
    this.#asked += 1
    this.#unsynced = false
    this.#lastWasQuery = false
  }

  /** By its number, 2078 being set_config; which setting it makes is not looked for. */
  sentFunctionCall(oid: number): void {
    this.#mix()
    if (oid === 2078) this.#isUnknowable = true
    this.#asked += 1
    this.#lastWasQuery = true
    this.unsure = true
  }

  sentCopyEnd(): void {
    this.#copying = false
  }

  ready(status: number): void {
    if (this.#answered < this.#asked) this.#answered += 1
    this.#status = status
    this.#copying = false
    // What was not confirmed by now failed, or was skipped because something before it failed.
    while (this.#expected.length > 0 && (this.#expected[0]?.unit ?? 0) < this.#answered) this.#expected.shift()
    this.#endUnit()
    if (this.#asked === this.#answered) {
      if (this.#change && !this.#failed && status === IDLE) this.#apply(this.#change)
      this.#change = undefined
      this.#failed = false
    }
  }

  failed(): void {
    this.#failed = true
    this.#copying = false
  }

  /** ParseComplete. */
  parsed(): void {
    const expected = this.#expected.shift()
    if (expected?.kind !== 'parse') return
    this.#forget(expected.name)
    const { name, bytes } = expected
    if (bytes && this.#preparedBytes + bytes.length <= PREPARED_MAX_BYTES) {
      this.prepared.set(name, { text: bytes, writing: this.#writingOf(bytes.toString('latin1')) })
      this.#preparedInUnit.push(name)
      this.#preparedBytes += bytes.length
      return
    }
    // Too long to be kept, or too many. The unnamed one is used at once and seldom twice.
    if (name === '') return
    this.#isTooMuch = true
    this.pin ??= 'settings-refused'
  }

  /** What the server reports comes before ReadyForQuery: in which writing a statement of this unit was read is not known. */
  #endUnit(): void {
    const writing = this.writing
    this.loginWriting ??= writing
    if (writing.conforming === 'off') this.#escaped = true
    const before = this.#unitWriting
    if (before && !sameWriting(before, writing)) {
      for (const name of this.#preparedInUnit) if (this.prepared.get(name)?.writing) this.#isTooMuch = true
      if (this.#isTooMuch) this.pin ??= 'settings-refused'
    }
    this.#unitWriting = writing
    this.#preparedInUnit = []
  }

  /** CloseComplete. */
  closed(): void {
    const expected = this.#expected.shift()
    if (expected?.kind !== 'close') return
    this.#forget(expected.name)
    this.#changing.delete(expected.name)
  }

  /** The server takes data of a COPY. */
  copyIn(): void {
    this.#copying = true
    if (this.#lastWasQuery) return
    // By the extended protocol: the Sync that was sent with it is dropped by the server, and another will follow.
    this.#answered = this.#asked
    this.#unsynced = true
  }

  /** The server's answer to the question of state-snapshot.ts. */
  learn(snapshot: Snapshot): void {
    this.unsure = false
    this.#knownAt = this.#asked
    this.settings.clear()
    const writing = this.writing
    for (const [name, text] of snapshot.settings) {
      this.settings.set(name, { text, writing: this.#writingOf(text) })
      if (name.includes('.')) this.#defined.add(name)
    }
    this.sqlPrepared.clear()
    for (const [name, text] of snapshot.sqlPrepared) this.sqlPrepared.set(name, text)
    this.channels.clear()
    for (const [name, text] of snapshot.channels) this.channels.set(name, { text, writing: this.#writingOf(text) })
    for (const name of [...this.prepared.keys()]) {
      if (name !== '' && !snapshot.prepared.has(name)) this.#forget(name)
    }
    this.role = snapshot.role
    this.sessionUser = snapshot.sessionUser
    this.sqlWriting = writing
    this.pin = snapshot.pin ?? this.#lasting(snapshot)
  }

  /** What binds it for good. */
  #lasting(snapshot: Snapshot): CutReason | undefined {
    const isMissing = [...snapshot.prepared].some((name) => !this.prepared.has(name))
    const isAmbiguous = this.#escaped && [...snapshot.sqlPrepared.values()].some((text) => text.includes('\\'))
    if (this.#isTooMuch || ((isMissing || isAmbiguous) && !this.isRelaxed)) return 'settings-refused'
    return this.#isUnknowable ? 'state-unknown' : undefined
  }

  /** The server could not be asked. */
  learnNothing(): void {
    this.unsure = false
    this.#knownAt = this.#asked
    this.pin = 'settings-refused'
  }

  #effectOf(text: string): Effect {
    const backslashEscapes = this.parameters.get('standard_conforming_strings') === 'off'
    return effectOf(text, {
      backslashEscapes,
      isPinned: this.pin !== undefined,
      makesTemporary: this.settings.get('search_path')?.text.toLowerCase().includes('pg_temp') === true,
      sqlPrepared: this.sqlPrepared,
      hidden: this.hidden,
      readBody: effectOfBody,
    })
  }

  #note(effect: Effect): void {
    if (effect.kind === 'touch' && effect.customNames.every((name) => this.#defined.has(name))) return
    this.unsure = true
    for (const name of customNamesOf(effect)) this.customNames.add(name)
    if (effect.kind === 'unsure' && effect.isUnknowable) this.#isUnknowable = true
  }

  /** How the server reads what is sent now. */
  get writing(): Writing {
    const [encoding, conforming] = ['client_encoding', 'standard_conforming_strings'].map((name) =>
      this.parameters.get(name),
    )
    return { encoding: encoding ?? '', conforming: conforming ?? '' }
  }

  #writingOf(text: string): Writing | undefined {
    return /[\x80-\xff\\]/.test(text) ? this.writing : undefined
  }

  #apply(change: Change): void {
    switch (change.kind) {
      case 'set':
        if (change.name.includes('.')) this.customNames.add(change.name)
        this.settings.delete(change.name) // so that it is made again in the order in which it was last made
        this.settings.set(change.name, { text: change.text, writing: this.#changeWriting })
        if (change.name.includes('.')) this.#defined.add(change.name)
        return
      case 'reset':
        this.settings.delete(change.name)
        return
      case 'listen':
        this.channels.set(change.channel, { text: change.text, writing: this.#changeWriting })
        return
      case 'unlisten':
        if (change.channel === null) this.channels.clear()
        else this.channels.delete(change.channel)
    }
  }

  #forget(name: string): void {
    this.#preparedBytes -= this.prepared.get(name)?.text.length ?? 0
    this.prepared.delete(name)
  }
}

export function sameWriting(one: Writing, other: Writing): boolean {
  return one.encoding === other.encoding && one.conforming === other.conforming
}
