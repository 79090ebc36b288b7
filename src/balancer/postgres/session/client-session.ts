/**
 * One client's way through the balancer, from its first byte to its last.
 *
 *     opening    it says who it is (startup-phase.ts)
 *     seeking    it has no server: one is chosen, or it is held until one can be (server-search.ts)
 *     login      its login is relayed; the server alone authenticates
 *     open       chunks are relayed; an idle session whose server is lost, or leaves, goes back to seeking and comes out
 *                open, on another server, with all that it had (pre-login.ts, server-login.ts, restore-state.ts)
 *     over
 *
 * The invariant: a byte of the client that was written to a server is never written to another one. What arrives while
 * the session has no server waits here, unread, and has been sent nowhere. So nothing is ever executed twice, and what
 * the client is told about a statement that was under way is true: its outcome is not known.
 */
import type { Socket } from 'node:net'
import type { CutReason } from '../../../core/replicated/session-counts.ts'
import type { LiveRoute } from '../../live-route.ts'
import { type Cancellable, type ClientKey, exchange } from '../cancel-keys.ts'
import { int32, message, TERMINATE } from '../messages.ts'
import { cutResponse, protocolViolation, unavailable } from '../protocol-errors.ts'
import type { Place } from '../verifiers.ts'
import { ClientConnection } from './client-connection.ts'
import { ClientMessages, type ClientSideEvents } from './client-messages.ts'
import type { Rows } from './database-catalogue.ts'
import { HoldTimer } from './hold-timer.ts'
import { LoginRefusals } from './login-refusals.ts'
import { type Landed, PortableSession } from './portable-session.ts'
import { type BackendEvents, ServerConnection } from './server-connection.ts'
import { ServerMessages, type ServerSideEvents } from './server-messages.ts'
import { type SearchEvents, ServerSearch } from './server-search.ts'
import type { SessionContext } from './session-context.ts'
import type { Opened } from './startup-phase.ts'

export class ClientSession implements Cancellable, SearchEvents, BackendEvents, ClientSideEvents, ServerSideEvents {
  readonly #around: SessionContext
  readonly #entrance: LiveRoute
  readonly #client: ClientConnection
  readonly #search: ServerSearch
  readonly #absence: HoldTimer
  readonly #portable: PortableSession
  readonly #clientSide: ClientMessages
  readonly #serverSide: ServerMessages
  #phase: 'seeking' | 'login' | 'open' | 'over' = 'seeking'
  #backend: ServerConnection | undefined
  #arrival: { cancel(): void } | undefined
  #clientKey: ClientKey | undefined
  /** The server is being asked what the session has. */
  #asking: 'state' | 'catalogue' | 'another' | undefined
  readonly #putOff = new LoginRefusals()
  /** The client has the beginning of a message whose end will not come: nothing else can be said to it. */
  #isTorn = false

  readonly #onClientData = (chunk: Buffer): void => {
    if (this.#phase === 'open') this.#leaveIfDue()
    const isHeld = this.#isHeld
    if (this.#phase === 'login' || (this.#phase === 'open' && !this.#asking && !isHeld)) {
      this.#portable.used()
      return this.#clientSide.reader.feed(chunk)
    }
    if (isHeld) this.#absence.waits()
    this.#client.keep(chunk)
    this.#absence.tell(this.#client, this.#entrance.route.service)
  }

  constructor(around: SessionContext, opened: Opened) {
    this.#around = around
    this.#entrance = around.entrance
    this.#portable = new PortableSession(opened, around)
    this.#search = new ServerSearch(around.entrance, this)
    this.#clientSide = new ClientMessages(this.#portable.state, this.#portable.overheard, this)
    this.#serverSide = new ServerMessages(this.#portable.state, this.#portable.overheard, this)
    const { clock } = this.#entrance.house
    this.#absence = new HoldTimer(clock, around.tally)
    this.#client = new ClientConnection(opened.client, clock, this.#onClientData, () => this.#backend?.resume())
    if (opened.rest.length > 0) this.#client.keep(opened.rest)
  }

  start(): void {
    this.#search.begin()
  }

  get entered(): boolean {
    return this.#serverSide.entered
  }

  /** What it has, while it works at a server: it may log in elsewhere ahead. */
  get working(): PortableSession | undefined {
    return this.#phase === 'open' ? this.#portable : undefined
  }

  backend(): ReturnType<Cancellable['backend']> {
    const [backend, spec] = [this.#backend, this.#search.target?.spec]
    return backend && spec && { host: spec.host, port: spec.port, pid: backend.pid, key: backend.key }
  }

  /** Something of it is under way at a server that holds: a transaction or a statement. */
  get holdsUp(): boolean {
    return this.#isOpenWhereHeld && !this.#portable.state.idle
  }

  /** It needs something more from a server that holds before that may end: a login, or an answer about its state. */
  get isToBeAsked(): boolean {
    if (this.#phase === 'login') return this.#search.isHolding
    return this.#isOpenWhereHeld && (this.#asking !== undefined || !this.#portable.isAsked)
  }

  /** The client is gone, or the balancer closes. */
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
      this.#backend = new ServerConnection(socket, this.#serverSide.listen(), this)
      this.#backend.write(this.#portable.startup)
      this.#client.readKept()
      return
    }
    const place = this.#search.target?.spec
    if (!place) return void socket.destroy()
    this.#arrival = this.#portable.arrive(socket, place, this.#onLanded)
  }

  onChosen(place: Place): boolean {
    const arrival = this.entered ? this.#portable.ahead.take(place) : undefined
    this.#arrival = arrival
    if (arrival) this.#portable.goOn(arrival, this.#onLanded)
    return arrival !== undefined
  }

  readonly #onLanded: Landed = (result, key, socket) => {
    this.#arrival = undefined
    if (result.kind === 'not-yet') return this.#search.unsuitable()
    if (result.kind === 'refused') return this.#cut(result.reason)
    // The server itself is healthy and ended this one session, so that was intended: pg_terminate_backend.
    if (this.#serverSide.farewell && this.#search.isStraightBack) {
      socket.end(TERMINATE)
      return this.#dismiss(this.#serverSide.farewell)
    }
    const { reader, parameters, early } = result
    this.#backend = Object.assign(new ServerConnection(socket, this.#serverSide.listen(reader), this), key)
    this.#phase = 'open'
    this.#portable.state.moved = true
    this.#search.settled()
    this.#absence.end()
    for (const bytes of early) this.onNotified(bytes, 5)
    for (const bytes of [...this.#portable.differences(parameters), ...early]) this.#client.write(bytes)
    this.#client.readKept()
  }

  onUnfound(why: 'hold-expired' | 'hold-full'): void {
    if (this.entered) return this.#cut(why)
    this.#refuse(this.#putOff.words ?? unavailable(this.#entrance.route.service, why))
  }

  onTargetLost(): void {
    const arrival = this.#arrival
    this.#arrival = undefined
    arrival?.cancel()
    if (arrival) return this.#search.unsuitable()
    this.#backend?.cut()
    this.onBackendGone()
  }

  onTargetChanged(): void {
    if (this.#phase === 'open') this.#leaveIfDue()
    this.#goOn()
  }

  toClient(bytes: Buffer): void {
    if (!this.#client.write(bytes)) this.#backend?.pause()
  }

  onKey(pid: number, key: Buffer): Buffer {
    const { route } = this.#entrance
    this.#clientKey ??= this.#around.cancels.enter(this, pid, route)
    if (this.#backend) Object.assign(this.#backend, { pid, key })
    return message('K', int32(this.#clientKey.pid), this.#clientKey.key)
  }

  /** The client knows its session by the number of its first server, and must know its own notifications by it. */
  onNotified(buffer: Buffer, at: number): void {
    exchange(buffer, at, this.#backend?.pid, this.#clientKey?.pid)
  }

  onStateMissed(): void {
    const reason = this.#portable.state.isLastAnswer ? 'sequence-value' : 'in-statement'
    this.#dropBackend()
    this.#cut(reason)
  }

  onEntered(): void {
    this.#phase = 'open'
    this.#search.settled()
    const place = this.#search.target?.spec
    if (place) this.#portable.entered(place)
    this.#around.tally.entered(place?.term ?? 0)
  }

  onTurn(): void {
    if (this.#portable.state.idle) this.onIdle()
    this.#goOn()
    if (this.#search.isHolding && !this.holdsUp) this.#around.onRest()
  }

  onIdle(): void {
    if (this.#portable.isReplication || this.#clientSide.terminated || this.#asking) return
    const wanted = this.#portable.catalogueWanted(false)
    if (wanted) return this.#askCatalogue(wanted)
    const { state, isStale, ahead } = this.#portable
    if (state.unsure || isStale || (ahead.wantsRehearsal && !this.#isHeld)) this.#ask()
    else this.#leaveIfDue()
  }

  /** Something may have become known about its database that concerns it. */
  lookAgain(): void {
    if (this.#phase === 'open' && this.#portable.state.idle) this.onIdle()
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
    this.#askNothing()
    if (this.#phase === 'over') return
    if (this.#clientSide.terminated) return this.#dismiss()
    if (!this.entered) return this.#loginBroken()
    if (this.#serverSide.saidFarewell && this.#portable.state.quiet) return this.#dismiss()
    const obstacle = this.#isTorn ? 'in-statement' : this.#portable.obstacle
    return obstacle === undefined ? this.#move() : this.#cut(obstacle)
  }

  #loginBroken(): void {
    if (!this.#serverSide.silent) return this.#refuse(unavailable(this.#entrance.route.service, 'lost'))
    this.#phase = 'seeking'
    this.#search.unsuitable()
  }

  #refuse(words: Buffer | 'torn' | undefined): void {
    this.#entrance.counters.failed += 1
    this.#client.end(words)
    this.#over()
  }

  /** It is at a server that lets nothing begin. Replication is no transaction, and the server sees to its end. */
  get #isOpenWhereHeld(): boolean {
    return this.#phase === 'open' && this.#search.isHolding && !this.#portable.isReplication
  }

  /** What its client sends waits here, until the server leads on or the session leaves. */
  get #isHeld(): boolean {
    return this.#isOpenWhereHeld && this.#portable.state.mayPause && this.#clientSide.reader.between
  }

  /** What was kept is relayed, unless something else keeps it. */
  #goOn(): void {
    if (!this.#client.keeps || this.#phase !== 'open' || this.#asking || this.#isHeld) return
    this.#absence.goesOn()
    this.#client.readKept()
  }

  /** Asks once more before: exact, whatever happened in the session. One that is held is asked at once, not when it leaves. */
  #leaveIfDue(): void {
    const { state, database } = this.#portable
    if (!state.idle || this.#asking) return
    const isDue = this.#search.isDue(this.#portable)
    if (!isDue && !this.#isHeld) return
    // Of sessions that are held one asks, for all of them, when the last one has come to rest.
    if (isDue || !database.catalogue || (state.isKnown && this.#around.isStill())) {
      const wanted = this.#portable.catalogueWanted(true)
      if (wanted) this.#askCatalogue(wanted)
      else if (this.#portable.waits(this.#onAnother)) this.#asking = 'another'
    }
    if (this.#asking) return
    if (!state.isKnown || this.#portable.isStale) this.#ask()
    else if (isDue) this.#leave()
  }

  #leave(): void {
    this.#backend?.close(TERMINATE)
    this.onBackendGone()
  }

  #ask(): void {
    if (this.#asking || !this.#backend || this.#portable.isReplication) return
    // Without the catalogue it is not known what to ask for.
    const { database, state } = this.#portable
    if (!state.isRelaxed && !database.catalogue && this.#portable.waits(() => this.lookAgain())) return
    this.#asking = 'state'
    this.#portable.ahead.wantsRehearsal = false
    this.#serverSide.expectAnswer()
    this.#backend.write(this.#portable.question())
  }

  /** What another session asked about the database is answered, or its server is gone. */
  readonly #onAnother = (): void => {
    if (this.#asking !== 'another') return
    this.#asking = undefined
    this.onIdle()
    this.#goOn()
  }

  #askCatalogue(what: 'all' | 'fingerprint'): void {
    if (!this.#backend) return
    this.#asking = 'catalogue'
    this.#portable.database.asks()
    this.#serverSide.expectAnswer()
    this.#backend.write(this.#portable.catalogueQuestion(what))
  }

  onAnswer(rows: Rows | undefined): void {
    const asked = this.#asking
    this.#asking = undefined
    if (asked === 'catalogue') this.#portable.database.answered(rows)
    else this.#portable.answered(rows)
    this.onIdle() // it may be asked something else now, or leave
    this.#goOn()
    if (this.#search.isHolding && !this.isToBeAsked) this.#entrance.house.onStill()
  }

  #move(): void {
    this.#phase = 'seeking'
    this.#absence.begin()
    this.#absence.tell(this.#client, this.#entrance.route.service)
    this.#search.begin()
  }

  #dropBackend(): void {
    this.#backend?.cut()
    this.#backend = undefined
    this.#askNothing()
  }

  /** What it asked for all sessions in its database is asked by another one. */
  #askNothing(): void {
    if (this.#asking === 'catalogue') this.#portable.database.abandon()
    this.#asking = undefined
  }

  #cut(reason: CutReason): void {
    if (this.#phase === 'over') return
    this.#absence.cut(reason)
    // What the server said while it was asked is the reason, and the code is the same.
    const itsWords = reason === 'state-unknown' ? this.#serverSide.farewell : undefined
    const words = itsWords ?? cutResponse(this.#entrance.route.service, reason)
    this.#refuse(this.#isTorn ? 'torn' : this.#serverSide.saidFarewell ? undefined : words)
  }

  /** The server ended this session and no other. */
  #dismiss(itsWords?: Buffer): void {
    this.#absence.left()
    this.#client.end(itsWords)
    this.#over()
  }

  #over(): void {
    this.#phase = 'over'
    this.#askNothing()
    this.#portable.ahead.drop()
    this.#arrival?.cancel()
    this.#backend = undefined
    this.#search.end()
    if (this.#clientKey) this.#around.cancels.leave(this.#clientKey)
  }
}
