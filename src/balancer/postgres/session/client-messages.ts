/** What a client sends, as it is relayed to its server: noted in the state of the session, and passed on as it came. */
import { FrameReader, type FrameSink, interest, LOOK_MAX_BYTES } from '../frames.ts'
import { parameterAt, textAt } from '../messages.ts'
import type { RelayedLogin } from './relayed-login.ts'
import type { SessionState } from './session-state.ts'

const CLIENT = interest('QPBCFp', 'EDHScfX')

export interface ClientSideEvents {
  toServer(bytes: Buffer): void
  onClientMalformed(): void
}

export class ClientMessages implements FrameSink {
  readonly reader = new FrameReader(CLIENT, this)
  readonly #session: SessionState
  readonly #overheard: RelayedLogin
  readonly #events: ClientSideEvents
  /** It said that it is leaving. */
  terminated = false

  constructor(session: SessionState, overheard: RelayedLogin, events: ClientSideEvents) {
    this.#session = session
    this.#overheard = overheard
    this.#events = events
  }

  onType(type: number): void {
    switch (type) {
      case 0x53: // Sync
        this.#session.sentSync()
        return
      case 0x63: // CopyDone
      case 0x66: // CopyFail
        this.#session.sentCopyEnd()
        return
      case 0x58: // Terminate
        this.terminated = true
        return
      default: // Execute, Describe, Flush
        this.#session.sentExtended()
    }
  }

  onMessage(type: number, buffer: Buffer, start: number, end: number): boolean {
    switch (type) {
      case 0x51: // Query
        this.#session.sentQuery(buffer.toString('latin1', start, end > start && buffer[end - 1] === 0 ? end - 1 : end))
        return true
      case 0x42: // Bind
        this.#session.sentExtended()
        if (this.#session.watchesBinds) {
          const portal = textAt(buffer, start, end)
          const statement = textAt(buffer, start + portal.length + 1, end)
          const from = start + portal.length + statement.length + 2
          this.#session.sentBind(statement, (parameter) => parameterAt(buffer, from, end, parameter))
        }
        return true
      case 0x46: // FunctionCall
        this.#session.sentFunctionCall(end - start < 4 ? 0 : buffer.readInt32BE(start))
        return true
      case 0x50: // Parse
        this.#parse(buffer, start, end)
        return true
      case 0x43: // Close
        if (buffer[start] === 0x53) this.#session.sentClose(textAt(buffer, start + 1, end))
        else this.#session.sentClosePortal()
        return true
      default: // an answer in the login
        this.#overheard.fromClient(buffer, start, end)
        return true
    }
  }

  #parse(buffer: Buffer, start: number, end: number): void {
    const name = textAt(buffer, start, end)
    const text = textAt(buffer, start + name.length + 1, end)
    // A copy, because a view would keep the whole chunk for as long as the statement lives.
    const bytes = end - start < LOOK_MAX_BYTES - 5 ? Buffer.from(buffer.subarray(start - 5, end)) : undefined
    this.#session.sentParse(name, text, bytes)
  }

  onTaken(): void {}

  onRelay(bytes: Buffer): void {
    this.#events.toServer(bytes)
  }

  onMalformed(): void {
    this.#events.onClientMalformed()
  }
}
