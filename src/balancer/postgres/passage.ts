/**
 * One client's way through the door, from its first byte to its last.
 *
 *     opening    it says who it is (opening.ts)
 *     seeking    no server has it: one is chosen, or it is held until one can be (search.ts)
 *     login      its login is relayed; the server alone decides who enters
 *     open       chunks are relayed; an idle session whose server is lost, or leaves, goes back to seeking and comes out
 *                open, on another server, with all that it had (arrival.ts, restore.ts)
 *     over
 *
 * The invariant: a byte of the client that was written to a server is never written to another one. What arrives while
 * no server has the session waits here, unread, and has been sent nowhere. So nothing is ever executed twice, and what is
 * told to the client about a statement that was under way is the truth: nobody knows.
 */
import type { Socket } from 'node:net'
import type { CutReason } from '../../core/sessions.ts'
import type { Entrance } from '../entrance.ts'
import { Absence } from './absence.ts'
import type { Arrived } from './arrival.ts'
import { Backend, type BackendEvents } from './backend.ts'
import type { Cancellable, ClientKey } from './cancels.ts'
import { ClientSide, type ClientSideEvents } from './client-side.ts'
import { ClientWire } from './client-wire.ts'
import { cutResponse, heldNotice, protocolViolation, unavailable } from './errors.ts'
import type { Opened } from './opening.ts'
import { PortableSession } from './portable-session.ts'
import { PutOff } from './put-off.ts'
import { Search, type SearchEvents } from './search.ts'
import { ServerSide, type ServerSideEvents } from './server-side.ts'
import type { SessionState } from './session-state.ts'
import type { Surroundings } from './surroundings.ts'
import { int32, message, TERMINATE } from './wire.ts'

type Phase = 'seeking' | 'login' | 'open' | 'over'

export class Passage implements Cancellable, SearchEvents, BackendEvents, ClientSideEvents, ServerSideEvents {
  readonly #around: Surroundings
  readonly #entrance: Entrance
  readonly #client: ClientWire
  readonly #search: Search
  readonly #absence: Absence
  readonly #portable: PortableSession
  readonly #session: SessionState
  readonly #clientSide: ClientSide
  readonly #serverSide: ServerSide
  #phase: Phase = 'seeking'
  #backend: Backend | undefined
  #arrival: { cancel(): void } | undefined
  #clientKey: ClientKey | undefined
  /** The server is being asked what the session has. */
  #asking = false
  readonly #putOff = new PutOff()
  /** The client has the beginning of a message whose end will not come: nothing else can be said to it. */
  #isTorn = false

  readonly #onClientData = (chunk: Buffer): void => {
    if (this.#phase === 'open') this.#leaveIfDue()
    if (this.#phase === 'login' || (this.#phase === 'open' && !this.#asking)) {
      this.#clientSide.reader.feed(chunk)
      return
    }
    this.#client.keep(chunk)
    this.#noteHeld()
  }

  constructor(around: Surroundings, opened: Opened) {
    this.#around = around
    this.#entrance = around.entrance
    this.#portable = new PortableSession(opened, around.verifiers, around.entrance)
    this.#session = this.#portable.state
    this.#search = new Search(around.entrance, this)
    this.#clientSide = new ClientSide(this.#session, this.#portable.overheard, this)
    this.#serverSide = new ServerSide(this.#session, this.#portable.overheard, this)
    const { clock } = this.#entrance.house
    this.#absence = new Absence(clock, around.tally)
    this.#client = new ClientWire(opened.client, clock, this.#onClientData, () => this.#backend?.resume())
    if (opened.rest.length > 0) this.#client.keep(opened.rest)
  }

  start(): void {
    this.#search.begin()
  }

  get entered(): boolean {
    return this.#serverSide.entered
  }

  backend(): ReturnType<Cancellable['backend']> {
    const [backend, target] = [this.#backend, this.#search.target]
    if (!backend || !target) return undefined
    return { host: target.spec.host, port: target.spec.port, pid: backend.pid, key: backend.key }
  }

  /** The client is gone, or the door closes. */
  end(): void {
    if (this.#phase === 'over') return
    this.#absence.left()
    this.#backend?.close()
    this.#over()
  }

  toServer(bytes: Buffer): void {
    // A login during which the client has said anything cannot be begun anew at another server.
    if (this.#phase === 'login') this.#serverSide.silent = false
    if (this.#backend?.write(bytes) === false) this.#client.pause()
  }

  onBackendDrained(): void {
    this.#client.resume()
  }

  onClientMalformed(): void {
    this.#client.end(protocolViolation('invalid frontend message'))
    this.end()
  }

  onReached(socket: Socket): void {
    if (!this.entered) {
      this.#phase = 'login'
      this.#backend = new Backend(socket, this.#serverSide.listen(), this)
      this.#backend.write(this.#portable.startup)
      this.#client.readKept()
      return
    }
    const place = this.#search.target?.spec
    if (!place) return void socket.destroy()
    this.#arrival = this.#portable.arrive(socket, place, (result, key) => {
      this.#arrival = undefined
      this.#arrived(socket, key, result)
    })
  }

  #arrived(socket: Socket, key: { pid: number; key: Buffer }, result: Arrived): void {
    if (result.kind === 'not-yet') return this.#search.unsuitable()
    if (result.kind === 'refused') return this.#cut(result.reason)
    // The server itself is well and ended this one session, so somebody wanted that: pg_terminate_backend.
    if (this.#serverSide.farewell && this.#search.isStraightBack) {
      socket.end(TERMINATE)
      return this.#dismiss(this.#serverSide.farewell)
    }
    const { reader, parameters, early } = result
    this.#backend = Object.assign(new Backend(socket, this.#serverSide.listen(reader), this), key)
    this.#phase = 'open'
    this.#search.settled()
    this.#absence.end()
    for (const bytes of [...this.#portable.differences(parameters), ...early]) this.#client.write(bytes)
    this.#client.readKept()
  }

  onUnfound(why: 'hold-expired' | 'hold-full'): void {
    if (this.entered) return this.#cut(why)
    this.#refuse(this.#putOff.words ?? unavailable(this.#entrance.route.service, why))
  }

  onTargetLost(): void {
    if (this.#arrival) {
      this.#arrival.cancel()
      this.#arrival = undefined
      this.#search.unsuitable()
      return
    }
    this.#backend?.cut()
    this.onBackendGone()
  }

  onTargetLeaves(): void {
    if (this.#phase === 'open') this.#leaveIfDue()
  }

  toClient(bytes: Buffer): void {
    if (!this.#client.write(bytes)) this.#backend?.pause()
  }

  onKey(pid: number, key: Buffer): Buffer {
    const { route } = this.#entrance
    this.#clientKey ??= this.#around.cancels.enter(this, route)
    if (this.#backend) Object.assign(this.#backend, { pid, key })
    return message('K', int32(this.#clientKey.pid), this.#clientKey.key)
  }

  onEntered(): void {
    this.#phase = 'open'
    this.#search.settled()
    const place = this.#search.target?.spec
    if (place) this.#portable.entered(place)
    this.#around.tally.entered(place?.term ?? 0)
  }

  onIdle(): void {
    if (this.#portable.isReplication || this.#clientSide.terminated) return
    if (this.#session.unsure) this.#ask()
    else this.#leaveIfDue()
  }

  onLoginPutOff(bytes: Buffer, how: 'soon' | 'perhaps'): boolean {
    if (!this.#putOff.tryAgain(bytes, how, this.#entrance.house.clock.mono())) return false
    this.#dropBackend()
    this.#phase = 'seeking'
    this.#search.unsuitable()
    return true
  }

  readOnlyBecause(): string | null {
    return this.#entrance.route.readOnly
  }

  onServerMalformed(): void {
    this.#dropBackend()
    this.#cut('in-statement')
  }

  onBackendGone(): void {
    this.#isTorn = this.#backend?.reader.between === false
    this.#backend = undefined
    this.#asking = false
    if (this.#phase === 'over') return
    if (this.#clientSide.terminated) return this.#dismiss()
    if (!this.entered) return this.#loginBroken()
    if (this.#serverSide.saidFarewell && this.#session.quiet) return this.#dismiss()
    const obstacle = this.#isTorn ? 'in-statement' : this.#portable.obstacle
    if (obstacle !== undefined) this.#cut(obstacle)
    else this.#move()
  }

  #loginBroken(): void {
    if (this.#serverSide.silent) {
      this.#phase = 'seeking'
      this.#search.unsuitable()
      return
    }
    this.#refuse(unavailable(this.#entrance.route.service, 'lost'))
  }

  #refuse(words: Buffer): void {
    this.#entrance.counters.failed += 1
    this.#client.end(words)
    this.#over()
  }

  /** Asks once more before: exact, whatever happened in the session. */
  #leaveIfDue(): void {
    if (this.#session.idle && this.#search.isDue(this.#portable)) this.#ask()
  }

  #ask(): void {
    if (this.#asking || !this.#backend || this.#portable.isReplication) return
    this.#asking = true
    this.#serverSide.expectAnswer()
    this.#backend.write(this.#portable.question())
  }

  onAnswer(rows: readonly (readonly (string | null)[])[] | undefined): void {
    this.#asking = false
    this.#portable.answered(rows)
    if (!this.#search.isDue(this.#portable)) return this.#client.readKept()
    this.#backend?.close(TERMINATE)
    this.onBackendGone()
  }

  #move(): void {
    this.#phase = 'seeking'
    this.#absence.begin()
    this.#noteHeld()
    this.#search.begin()
  }

  #noteHeld(): void {
    const { service } = this.#entrance.route
    if (this.#absence.forMs !== undefined) this.#client.noteHeld(() => heldNotice(service, this.#absence.forMs ?? 0))
  }

  #dropBackend(): void {
    this.#backend?.cut()
    this.#backend = undefined
  }

  #cut(reason: CutReason): void {
    if (this.#phase === 'over') return
    this.#entrance.counters.failed += 1
    this.#absence.cut(reason)
    const lastWords = this.#serverSide.saidFarewell ? undefined : cutResponse(this.#entrance.route.service, reason)
    this.#client.end(this.#isTorn ? 'torn' : lastWords)
    this.#over()
  }

  /** The server ended this session and no other. */
  #dismiss(itsWords?: Buffer): void {
    this.#absence.left()
    this.#client.end(itsWords)
    this.#over()
  }

  #over(): void {
    this.#phase = 'over'
    this.#arrival?.cancel()
    this.#backend = undefined
    this.#search.end()
    if (this.#clientKey) this.#around.cancels.leave(this.#clientKey)
  }
}
