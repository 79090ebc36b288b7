/** One client's session as something that can be carried to another server: who it is, what it has, how it gets in again. */
import type { Socket } from 'node:net'
import type { CutReason } from '../../../core/replicated/session-counts.ts'
import type { Clock } from '../../../lib/clock.ts'
import type { LiveRoute } from '../../live-route.ts'
import { Login } from '../login.ts'
import { message, SYNC } from '../messages.ts'
import { isReplication } from '../startup-packet.ts'
import type { Place, Verifiers } from '../verifiers.ts'
import { Credentials } from './credentials.ts'
import { type BeginLogin, PreLogin } from './pre-login.ts'
import { RelayedLogin } from './relayed-login.ts'
import { restoration } from './restore-state.ts'
import { type Arrived, ServerLogin } from './server-login.ts'
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

  constructor({ packet, bytes }: Opened, verifiers: Verifiers, { house, route }: LiveRoute) {
    const parameters = packet.kind === 'startup' ? packet.parameters : new Map<string, string>()
    this.startup = bytes
    this.isReplication = isReplication(parameters)
    this.#user = parameters.get('user') ?? ''
    this.#clock = house.clock
    const secret = () => house.secretOf(route.service)
    this.#credentials = new Credentials(verifiers, this.overheard, this.#user, secret)
  }

  /** It has entered at `place`; from here on it can be learned how to enter again. */
  entered(place: Place): void {
    void this.#credentials.learn(place)
  }

  /** Why it cannot be carried away now. */
  get obstacle(): CutReason | undefined {
    if (this.isReplication) return 'replication'
    return this.state.obstacle ?? this.#credentials.obstacle
  }

  /** Asks the server what the session has. */
  question(): Buffer {
    return question(this.state.customNames)
  }

  /** Undefined: it would not say. */
  answered(rows: readonly (readonly (string | null)[])[] | undefined): void {
    const backslashEscapes = this.state.parameters.get('standard_conforming_strings') === 'off'
    if (rows) this.state.learn(readSnapshot(rows, this.#user, backslashEscapes))
    else this.state.learnNothing()
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
    const script = restoration(this.state)
    const sent = script.mustSucceed.length > 0 ? script : { bytes: SYNC, mustSucceed: [false] }
    arrival.send(sent, (result) => done(result, arrival.key, arrival.socket))
  }

  /** Logs in at the server on `socket`, which is at `place`, and makes the session there what it was. */
  arrive(socket: Socket, place: Place, done: Landed): { cancel(): void } {
    let arrival: { cancel(): void } | undefined = { cancel: () => socket.destroy() }
    socket.on('error', () => {}) // it may break while nobody uses it yet; whoever does will see that
    void this.#credentials.learn(place).then((credential) => {
      if (!arrival) return
      const login = new Login(credential)
      const way = { socket, startup: this.startup, clock: this.#clock }
      const landing = new ServerLogin(way, login)
      arrival = landing.send(restoration(this.state), (result) => done(result, landing.key, socket))
    })
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
