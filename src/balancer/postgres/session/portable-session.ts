/** One client's session as something that can be carried to another server: who it is, what it has, how it gets in again. */

import type { Socket } from 'node:net'
import type { CutReason } from '../../../core/replicated/session-counts.ts'
import { inBackground } from '../../../lib/background.ts'
import type { Clock } from '../../../lib/clock.ts'
import { Login } from '../login.ts'
import { message, SYNC } from '../messages.ts'
import { isReplication } from '../startup-packet.ts'
import type { Place } from '../verifiers.ts'
import { Credentials } from './credentials.ts'
import { Catalogue, catalogueQuestion, fingerprintIn } from './database-catalogue.ts'
import { type BeginLogin, PreLogin } from './pre-login.ts'
import { RelayedLogin } from './relayed-login.ts'
import { type Restoration, restoration } from './restore-state.ts'
import { type Arrived, ServerLogin } from './server-login.ts'
import type { SessionContext } from './session-context.ts'
import type { DatabaseKnowledge, SessionKnowledge } from './session-knowledge.ts'
import { SessionState } from './session-state.ts'
import type { Opened } from './startup-phase.ts'
import { question, readSnapshot } from './state-snapshot.ts'

/** What came of it, and on which connection. */
export type Landed = (result: Arrived, key: { readonly pid: number; readonly key: Buffer }, socket: Socket) => void

export class PortableSession {
  readonly state = new SessionState()
  readonly overheard = new RelayedLogin()
  readonly ahead = new PreLogin()
  /** As the client sent it; the next server gets the same. */
  readonly startup: Buffer
  readonly isReplication: boolean
  readonly #user: string
  readonly #clock: Clock
  readonly #credentials: Credentials

  readonly #knowledge: SessionKnowledge
  readonly database: DatabaseKnowledge
  /** What is being restored includes a look at its database, taken then. */
  #compares = false
  #comparedAtMs = 0
  /** When its client sent something that a server got. */
  #usedAtMs = Number.NEGATIVE_INFINITY

  constructor({ packet, bytes }: Opened, { verifiers, knowledge, entrance: { house, route } }: SessionContext) {
    const parameters = packet.kind === 'startup' ? packet.parameters : new Map<string, string>()
    this.startup = bytes
    this.isReplication = isReplication(parameters)
    this.#user = parameters.get('user') ?? ''
    this.#clock = house.clock
    this.#knowledge = knowledge
    this.database = knowledge.of(parameters.get('database') ?? this.#user)
    const secret = () => house.secretOf(route.service)
    this.#credentials = new Credentials(verifiers, this.overheard, this.#user, secret)
  }

  /** It has entered at `place`; from here on it can be learned how to enter again. */
  entered(place: Place): void {
    inBackground(this.#credentials.learn(place), 'learning a credential')
  }

  /** Why it cannot be carried away now. */
  get obstacle(): CutReason | undefined {
    if (this.isReplication) return 'replication'
    const { obstacle } = this.state
    if (obstacle === undefined && this.isStale) return 'state-unknown'
    return obstacle ?? this.#credentials.obstacle
  }

  /** Its client says something now. */
  used(): void {
    if (this.isStale) this.state.unsure = true
    this.state.isRelaxed = this.#knowledge.options().whenUnknown === 'move'
    this.state.hidden = this.state.isRelaxed ? undefined : this.database.hidden
    this.#usedAtMs = this.#clock.mono()
  }

  /** The database can do other things by now than was believed when it was used last. */
  get isStale(): boolean {
    const { hidden, isRelaxed } = this.state
    if (isRelaxed || !(hidden instanceof Catalogue) || hidden === this.database.catalogue) return false
    return this.#usedAtMs > hidden.verifiedAtMs
  }

  /** Nothing is left to be asked before it leaves its server. */
  get isAsked(): boolean {
    return this.state.isKnown && !this.isStale && this.catalogueWanted(true) === undefined
  }

  catalogueQuestion(what: 'all' | 'fingerprint'): Buffer {
    return catalogueQuestion(what, this.state.parameters.get('server_version'))
  }

  /** True: another session asks about the database what has to be known before this one goes; `go` is called when that is over. */
  waits(go: () => void): boolean {
    return this.#knowledge.options().whenUnknown !== 'move' && this.database.waits(this.#usedAtMs, go)
  }

  /** What it has to ask about its database, for all sessions in it. */
  catalogueWanted(isLeaving: boolean): 'all' | 'fingerprint' | undefined {
    if (this.#knowledge.options().whenUnknown === 'move') return undefined
    return this.database.wanted(this.#usedAtMs, isLeaving)
  }

  /** Asks the server what the session has. */
  question(): Buffer {
    return question(this.#knowledge.namesFor(this.state.customNames, this.database))
  }

  /** Undefined: it would not say. */
  answered(rows: readonly (readonly (string | null)[])[] | undefined): void {
    const backslashEscapes = this.state.parameters.get('standard_conforming_strings') === 'off'
    if (rows) this.state.learn(readSnapshot(rows, this.#user, backslashEscapes))
    else this.state.learnNothing()
    if (this.state.isRelaxed) return
    this.state.hidden = this.database.hidden
    // Only settings with known names can be asked for, and it is not known which names there are.
    if (!this.database.catalogue) this.state.pin ??= 'state-unknown'
  }

  /** What makes it again what it was. What its database can do is compared once more, unless that was done since it was used. */
  #restoration(): Restoration {
    const plain = restoration(this.state)
    const { hidden, isRelaxed } = this.state
    this.#compares = !isRelaxed && hidden instanceof Catalogue && this.#usedAtMs > hidden.verifiedAtMs
    if (!this.#compares) return plain.mustSucceed.length > 0 ? plain : { bytes: SYNC, mustSucceed: [false] }
    this.#comparedAtMs = this.#clock.mono()
    return {
      bytes: Buffer.concat([this.catalogueQuestion('fingerprint'), plain.bytes]),
      mustSucceed: [true, ...plain.mustSucceed],
    }
  }

  /** A function that came after the last look may have done anything in this session. */
  #judged(result: Arrived): Arrived {
    const { hidden } = this.state
    if (result.kind !== 'ready' || !this.#compares || !(hidden instanceof Catalogue)) return result
    if (fingerprintIn(result.rows) !== hidden.fingerprint) {
      const why = 'the functions of the database have changed'
      return { kind: 'refused', reason: 'state-unknown', why }
    }
    hidden.verifiedAtMs = Math.max(hidden.verifiedAtMs, this.#comparedAtMs)
    return result
  }

  /** Why it cannot log in elsewhere while it works here. */
  get staysBehind(): boolean {
    return this.isReplication || this.#credentials.obstacle !== undefined
  }

  /** Logs in at `place`, and waits there. */
  goAhead(place: Place, changed: () => void): void {
    const login = async (): Promise<BeginLogin> => {
      const credential = await this.#credentials.learn(place)
      const way = { startup: this.startup, clock: this.#clock }
      return (socket, ended) => new ServerLogin({ ...way, socket }, new Login(credential), ended)
    }
    this.ahead.go(place, login(), changed)
  }

  /** Makes the session what it was, where it has logged in ahead. At least it is asked whether it is there, and a primary now. */
  goOn(arrival: ServerLogin, done: Landed): void {
    arrival.send(
      () => this.#restoration(),
      (result) => done(this.#judged(result), arrival.key, arrival.socket),
    )
  }

  /** Logs in at the server on `socket`, which is at `place`, and makes the session there what it was. */
  arrive(socket: Socket, place: Place, done: Landed): { cancel(): void } {
    let arrival: { cancel(): void } | undefined = { cancel: () => socket.destroy() }
    socket.on('error', () => {}) // it may break before it is used; its user will see that
    const landed = this.#credentials.learn(place).then((credential) => {
      if (!arrival) return
      const login = new Login(credential)
      const way = { socket, startup: this.startup, clock: this.#clock }
      const landing = new ServerLogin(way, login)
      arrival = landing.send(
        () => this.#restoration(),
        (result) => done(this.#judged(result), landing.key, socket),
      )
    })
    inBackground(landed, 'a login')
    return {
      cancel() {
        arrival?.cancel()
        arrival = undefined
      },
    }
  }

  /** What another server reports differently, as messages for the client. */
  differences(parameters: ReadonlyMap<string, string>): Buffer[] {
    const messages: Buffer[] = []
    for (const [name, value] of parameters) {
      if (this.state.parameters.get(name) === value) continue
      this.state.parameters.set(name, value)
      messages.push(message('S', `${name}\0${value}\0`))
    }
    return messages
  }
}
