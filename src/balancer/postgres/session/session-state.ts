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
import type { Snapshot } from './state-snapshot.ts'
import { type Change, customNamesOf, type Effect, effectOf } from './statements.ts'

const IDLE = 0x49 // I

/** A session with more than this keeps its further prepared statements only as long as its server lives. */
const PREPARED_MAX_BYTES = 4 * 1024 * 1024

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
  /** Settings by name: the statement that makes each again. */
  readonly settings = new Map<string, string>()
  /** Prepared by the protocol: the whole Parse message. The unnamed one has the empty name. */
  readonly prepared = new Map<string, Buffer>()
  /** Prepared by PREPARE: the statement. */
  readonly sqlPrepared = new Map<string, string>()
  /** Channels: the statement that listens again. */
  readonly channels = new Map<string, string>()
  role: string | undefined
  sessionUser: string | undefined
  /** Why it is bound to its server, if it is. */
  pin: CutReason | undefined
  /** The server must be asked before anything is known. */
  unsure = false
  /** Settings that are only told when asked for by name. */
  readonly customNames = new Set<string>()
  #hasUnreadable = false
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
  #copying = false
  #lastWasQuery = false
  #change: Change | undefined

  get idle(): boolean {
    return this.quiet && this.#status === IDLE
  }

  /** Nothing is unanswered, but a transaction may be open. */
  get quiet(): boolean {
    return this.#asked === this.#answered && !this.#unsynced
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
    return this.unsure ? 'state-unknown' : this.pin
  }

  sentQuery(text: string): void {
    this.#mix()
    const alone = this.idle
    this.#asked += 1
    this.#lastWasQuery = true
    this.#forget('')
    const effect = this.#effectOf(text)
    if (effect.kind === 'none') return
    if (effect.kind === 'change' && alone) this.#change = effect.change
    else this.#note(effect)
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

  sentBind(statement: string): void {
    const effect = this.#changing.get(statement)
    if (effect) this.#note(effect)
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

  sentFunctionCall(): void {
    this.#mix()
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
      this.prepared.set(name, bytes)
      this.#preparedBytes += bytes.length
      return
    }
    // Too long to be kept, or too many. The unnamed one is used at once and seldom twice.
    if (name === '') return
    this.#hasUnreadable = true
    this.pin ??= 'settings-refused'
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
    for (const [name, text] of snapshot.settings) this.settings.set(name, text)
    this.sqlPrepared.clear()
    for (const [name, text] of snapshot.sqlPrepared) this.sqlPrepared.set(name, text)
    this.channels.clear()
    for (const [name, text] of snapshot.channels) this.channels.set(name, text)
    for (const name of [...this.prepared.keys()]) {
      if (name !== '' && !snapshot.prepared.has(name)) this.#forget(name)
    }
    this.role = snapshot.role
    this.sessionUser = snapshot.sessionUser
    this.pin = snapshot.pin ?? (this.#hasUnreadable ? 'settings-refused' : undefined)
  }

  /** The server could not be asked. */
  learnNothing(): void {
    this.unsure = false
    this.pin = 'settings-refused'
  }

  #effectOf(text: string): Effect {
    const backslashEscapes = this.parameters.get('standard_conforming_strings') === 'off'
    return effectOf(text, { backslashEscapes, isPinned: this.pin !== undefined })
  }

  #note(effect: Effect): void {
    this.unsure = true
    for (const name of customNamesOf(effect)) this.customNames.add(name)
    if (effect.kind === 'unsure' && effect.hasUnreadable) this.#hasUnreadable = true
  }

  #apply(change: Change): void {
    switch (change.kind) {
      case 'set':
        if (change.name.includes('.')) this.customNames.add(change.name)
        this.settings.delete(change.name) // so that it is made again in the order in which it was last made
        this.settings.set(change.name, change.text)
        return
      case 'reset':
        this.settings.delete(change.name)
        return
      case 'listen':
        this.channels.set(change.channel, change.text)
        return
      case 'unlisten':
        if (change.channel === null) this.channels.clear()
        else this.channels.delete(change.channel)
    }
  }

  #forget(name: string): void {
    this.#preparedBytes -= this.prepared.get(name)?.length ?? 0
    this.prepared.delete(name)
  }
}
