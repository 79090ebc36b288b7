/**
 * A connection of the balancer's own: it logs in, sends a row of messages, and returns the result. So a session arrives
 * at its next server; so a verifier is looked up. Between the login and the messages it may wait (pre-login.ts).
 */
import type { Socket } from 'node:net'
import type { CutReason } from '../../../core/replicated/session-counts.ts'
import type { Cancel, Clock } from '../../../lib/clock.ts'
import { FrameReader, type FrameSink, interest, WHOLE } from '../frames.ts'
import type { Login } from '../login.ts'
import { rowAt, textsAt } from '../messages.ts'
import { mayPass } from '../protocol-errors.ts'
import type { Restoration } from './restore-state.ts'

const EVERYTHING = interest('', '', WHOLE)
/** A server that accepts and then says nothing for so long is tried again later, or another one is. */
const ARRIVE_MS = 5_000
/** Notifications that come while the session is being made ready. */
const EARLY_MAX = 1_000

export type Arrived =
  | {
      readonly kind: 'ready'
      readonly reader: FrameReader
      /** All that the server reported, the last word for each name. */
      readonly parameters: ReadonlyMap<string, string>
      /** Messages that are for the client. */
      readonly early: readonly Buffer[]
      readonly rows: readonly (readonly (string | null)[])[]
    }
  /** Nothing was decided: the connection broke, or the server admits no client yet. */
  | { readonly kind: 'not-yet' }
  | { readonly kind: 'refused'; readonly reason: CutReason; readonly why: string }

export class ServerLogin implements FrameSink {
  readonly #socket: Socket
  readonly #login: Login
  readonly #clock: Clock
  readonly #ended: (isIn: boolean) => void
  #makeScript: (() => Restoration) | undefined
  #script: Restoration | undefined
  #done: (result: Arrived) => void = () => {}
  readonly #reader = new FrameReader(EVERYTHING, this)
  readonly #early: Buffer[] = []
  readonly #rows: (string | null)[][] = []
  #cancelTimer: Cancel
  #loggedIn = false
  #answered = 0
  #failure: string | undefined
  #over = false

  /** `ended`: the login is done, or failed before it was known what to send. */
  constructor(
    { socket, startup, clock }: { readonly socket: Socket; readonly startup: Buffer; readonly clock: Clock },
    login: Login,
    ended: (isIn: boolean) => void = () => {},
  ) {
    this.#socket = socket
    this.#login = login
    this.#clock = clock
    this.#ended = ended
    this.#cancelTimer = clock.after(ARRIVE_MS, this.#broken)
    socket.on('data', this.#onData)
    socket.on('end', this.#broken)
    socket.on('error', this.#broken)
    socket.on('close', this.#broken)
    socket.write(startup)
  }

  get socket(): Socket {
    return this.#socket
  }

  get key(): { readonly pid: number; readonly key: Buffer } {
    return { pid: this.#login.backendPid, key: this.#login.backendKey }
  }

  /** Says what is sent after the login, and who hears what comes of it. */
  send(script: () => Restoration, done: (result: Arrived) => void): this {
    this.#makeScript = script
    this.#done = done
    if (this.#loggedIn) this.#begin(script())
    return this
  }

  /** It is not needed any more. */
  cancel(): void {
    if (this.#leave()) this.#socket.destroy()
  }

  onType(): void {}

  onRelay(): void {}

  onMalformed(): void {
    this.#broken()
  }

  onMessage(): boolean {
    return false
  }

  onTaken(type: number, buffer: Buffer, start: number, end: number): void {
    if (this.#over) return
    if (!this.#loggedIn) this.#logIn(type, buffer, start, end)
    else this.#restore(String.fromCharCode(type), buffer, start, end)
  }

  #logIn(type: number, buffer: Buffer, start: number, end: number): void {
    const step = this.#login.hear(type, buffer, start, end)
    switch (step.kind) {
      case 'wait':
        return
      case 'send':
        this.#socket.write(step.bytes)
        return
      case 'error':
        if (mayPass(step.fields) === 'never' && step.fields.get('C') !== '53300') {
          this.#finish({ kind: 'refused', reason: 'login-refused', why: step.fields.get('M') ?? '' })
        } else this.#broken()
        return
      case 'refused':
        this.#finish({ kind: 'refused', reason: this.#login.reason ?? 'login-refused', why: step.why })
        return
      case 'done':
        this.#loggedIn = true
        this.#cancelTimer()
        this.#ended(true)
        if (this.#makeScript) this.#begin(this.#makeScript())
    }
  }

  #begin(script: Restoration): void {
    this.#script = script
    this.#cancelTimer = this.#clock.after(ARRIVE_MS, this.#broken)
    if (script.mustSucceed.length === 0) this.#ready()
    else this.#socket.write(script.bytes)
  }

  #restore(type: string, buffer: Buffer, start: number, end: number): void {
    const script = this.#script
    if (type === 'A' && this.#early.length < EARLY_MAX) this.#early.push(Buffer.from(buffer.subarray(start - 5, end)))
    if (type === 'D') this.#rows.push(rowAt(buffer, start, end) ?? [])
    if (type === 'E') this.#failure ??= buffer.toString('latin1', start, end).replaceAll('\0', ' ')
    if (type === 'S') {
      const [name = '', value = ''] = textsAt(buffer, start, end, 2)
      this.#login.parameters.set(name, value)
    }
    if (type === 'E' && !script) return this.#broken() // it was ended before it was needed
    if (type !== 'Z' || !script) return
    if (this.#failure !== undefined && script.mustSucceed[this.#answered]) {
      this.#finish({ kind: 'refused', reason: 'settings-refused', why: this.#failure })
      return
    }
    this.#failure = undefined
    this.#answered += 1
    if (this.#answered === script.mustSucceed.length) this.#ready()
  }

  #ready(): void {
    const { parameters } = this.#login
    this.#finish({ kind: 'ready', reader: this.#reader, parameters, early: this.#early, rows: this.#rows })
  }

  readonly #onData = (chunk: Buffer): void => this.#reader.feed(chunk)

  readonly #broken = (): void => this.#finish({ kind: 'not-yet' })

  #finish(result: Arrived): void {
    if (!this.#leave()) return
    if (result.kind !== 'ready') this.#socket.destroy()
    if (!this.#makeScript) this.#ended(false)
    this.#done(result)
  }

  #leave(): boolean {
    if (this.#over) return false
    this.#over = true
    this.#cancelTimer()
    for (const event of ['data', 'end', 'error', 'close']) this.#socket.removeAllListeners(event)
    this.#socket.on('error', () => {}) // the next owner of the socket listens for its close
    return true
  }
}
