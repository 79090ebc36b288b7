/**
 * What a server sends, as it is relayed to its client. Relayed as it came, with four exceptions: the server's key in
 * the login (the client gets one of the balancer's), what the server says when it ends an idle session (the balancer
 * will look for another one), the answer to the balancer's own question, and the hint to an error that says why writing
 * is not possible.
 */

import { FrameReader, type FrameSink, interest, LOOK_MAX_BYTES, WHOLE } from '../frames.ts'
import { rowAt, textsAt } from '../messages.ts'
import { isFarewell, isFatal, lacksSequence, mayPass, readFields, withHint } from '../protocol-errors.ts'
import { type RelayedLogin, withoutBinding } from './relayed-login.ts'
import type { SessionState } from './session-state.ts'

const SERVER = interest('ZESANRKv', '13GW')
const EVERYTHING = interest('', '', WHOLE)
const ERROR_MAX_BYTES = LOOK_MAX_BYTES / 2
const READ_ONLY_TRANSACTION = '25006'

export interface ServerSideEvents {
  toClient(bytes: Buffer): void
  /** The server's key; what is returned goes to the client in its place. */
  onKey(pid: number, key: Buffer): Buffer
  /** The login is complete; the first ReadyForQuery is being relayed. */
  onEntered(): void
  /** The server waits for the client: after each ReadyForQuery, and when it takes the data of a COPY. */
  onTurn(): void
  /** The login was refused for a reason that may pass, and the client has heard nothing of it yet. */
  onLoginPutOff(bytes: Buffer, how: 'soon' | 'perhaps'): boolean
  /** Why writing is not possible at the moment, as a sentence; null when it should be. */
  readOnlyBecause(): string | null
  /** A NotificationResponse; the number of the process that notified is at `at`, and may be replaced there. */
  onNotified(buffer: Buffer, at: number): void
  /** The client has asked for something that the session had on another server, and that could not be carried here. */
  onStateMissed(): void
  onAnswer(rows: readonly (readonly (string | null)[])[] | undefined): void
  onServerMalformed(): void
}

export class ServerMessages implements FrameSink {
  readonly #session: SessionState
  readonly #overheard: RelayedLogin
  readonly #events: ServerSideEvents
  #reader: FrameReader | undefined
  /** The client has been told nothing yet. */
  silent = true
  entered = false
  /** The server has told the client itself that this is the end. */
  saidFarewell = false
  /** What it said while nothing was under way, and the client has not heard. */
  farewell: Buffer | undefined
  /** Of the answer that is being read. */
  #rows: (string | null)[][] | undefined
  #askFailed = false

  constructor(session: SessionState, overheard: RelayedLogin, events: ServerSideEvents) {
    this.#session = session
    this.#overheard = overheard
    this.#events = events
  }

  /** From here on this is what the server says. */
  listen(reader: FrameReader = new FrameReader(SERVER, this)): FrameReader {
    this.farewell = undefined
    // A question that the last server did not answer is not answered by this one.
    this.#rows = undefined
    reader.sink = this
    reader.interest = SERVER
    this.#reader = reader
    return reader
  }

  /** The answer to the balancer's own question is next; the session is idle. */
  expectAnswer(): void {
    this.#rows = []
    this.#askFailed = false
    if (this.#reader) this.#reader.interest = EVERYTHING
  }

  onType(type: number): void {
    if (type === 0x31) this.#session.parsed()
    else if (type === 0x33) this.#session.closed()
    else {
      this.#session.copyIn() // G, and W of a replication connection
      this.#events.onTurn()
    }
  }

  onMessage(type: number, buffer: Buffer, start: number, end: number): boolean {
    if (this.#rows) return type === 0x41 || type === 0x53 ? this.#reported(type, buffer, start, end) : false
    switch (type) {
      case 0x5a: // ReadyForQuery
        this.#session.ready(buffer[start] ?? 0)
        if (!this.entered) {
          this.entered = true
          this.#events.onEntered()
        } else this.#events.onTurn()
        return true
      case 0x45: // ErrorResponse
        return this.#error(buffer, start, end)
      case 0x4e: // NoticeResponse
        return !(this.#session.quiet && this.entered && isFarewell(readFields(buffer, start, end)))
      case 0x53: // ParameterStatus
      case 0x41: // NotificationResponse
        return this.#reported(type, buffer, start, end)
      case 0x52: // Authentication
        this.silent = false
        this.#overheard.fromServer(buffer, start, end)
        return withoutBinding(buffer, start, end) === undefined
      case 0x4b: // BackendKeyData
        return false
      default:
        this.silent = false
        return true
    }
  }

  onTaken(type: number, buffer: Buffer, start: number, end: number): void {
    if (this.#rows) {
      this.#answer(type, buffer, start, end)
      return
    }
    if (type === 0x4b && end - start >= 8) {
      const key = Buffer.from(buffer.subarray(start + 4, end))
      this.#events.toClient(this.#events.onKey(buffer.readInt32BE(start), key))
    }
    if (type === 0x52) this.#events.toClient(withoutBinding(buffer, start, end) ?? Buffer.alloc(0))
    if (type === 0x45) this.#errorTaken(buffer, start, end)
  }

  onRelay(bytes: Buffer): void {
    this.#events.toClient(bytes)
  }

  onMalformed(): void {
    this.#events.onServerMalformed()
  }

  #reported(type: number, buffer: Buffer, start: number, end: number): true {
    if (type === 0x53) {
      const [name = '', value = ''] = textsAt(buffer, start, end, 2)
      this.#session.parameters.set(name, value)
    } else if (end - start >= 4) this.#events.onNotified(buffer, start)
    return true
  }

  /** True: relayed as it is. */
  #error(buffer: Buffer, start: number, end: number): boolean {
    if (end - start > ERROR_MAX_BYTES) {
      this.silent = false
      if (this.entered) this.#session.failed()
      return true // only its beginning is here
    }
    if (!this.entered) {
      if (this.silent && mayPass(readFields(buffer, start, end)) !== 'never') return false
      this.silent = false
      return true
    }
    const fields = readFields(buffer, start, end)
    if (this.#session.quiet && isFarewell(fields)) return false
    if (this.#session.moved && lacksSequence(fields)) return false
    this.#session.failed()
    if (isFatal(fields)) this.saidFarewell = true
    return this.#events.readOnlyBecause() === null
  }

  #errorTaken(buffer: Buffer, start: number, end: number): void {
    const fields = readFields(buffer, start, end)
    const whole = Buffer.from(buffer.subarray(start - 5, end))
    if (!this.entered) {
      const how = mayPass(fields)
      if (how !== 'never' && this.#events.onLoginPutOff(whole, how)) return
      this.silent = false
      this.#events.toClient(whole)
      return
    }
    if (this.#session.quiet && isFarewell(fields)) {
      this.farewell = whole // the end of the connection follows
      return
    }
    if (this.#session.moved && lacksSequence(fields)) return this.#events.onStateMissed()
    const because = this.#events.readOnlyBecause()
    const isMeant = because !== null && fields.get('C') === READ_ONLY_TRANSACTION
    this.#events.toClient(isMeant ? withHint(fields, because) : whole)
  }

  #answer(type: number, buffer: Buffer, start: number, end: number): void {
    if (type === 0x44) {
      const row = rowAt(buffer, start, end)
      if (row) this.#rows?.push(row)
      else this.#askFailed = true
    }
    if (type === 0x45) {
      this.#askFailed = true
      if (isFarewell(readFields(buffer, start, end))) this.farewell = Buffer.from(buffer.subarray(start - 5, end))
    }
    if (type !== 0x5a) return
    const rows = this.#askFailed ? undefined : this.#rows
    this.#rows = undefined
    if (this.#reader) this.#reader.interest = SERVER
    this.#events.onAnswer(rows)
  }
}
