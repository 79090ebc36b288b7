/**
 * Looks up, with the balancer's own login, what a server keeps of a user's password. The function that is asked is the
 * only thing that this login may use. An answer is remembered for a while; a session that finds that it does not fit
 * (the password has been changed) asks again.
 */
import type { Clock } from '../../lib/clock.ts'
import { readVerifier, type Verifier } from '../../lib/scram.ts'
import type { BalancerSecret } from '../control-protocol.ts'
import { forTraffic, openSocket } from '../http/instance-connection.ts'
import { Login } from './login.ts'
import { askedAside } from './messages.ts'
import { ServerLogin } from './session/server-login.ts'
import { startupPacket } from './startup-packet.ts'

const CONNECT_MS = 1_000
const REMEMBERED_MS = 600_000
const REMEMBERED_MAX = 1_000

export interface Place {
  readonly host: string
  readonly port: number
}

export class Verifiers {
  readonly #clock: Clock
  readonly #known = new Map<string, { readonly verifier: Verifier; readonly atMs: number }>()
  readonly #asking = new Map<string, Promise<Verifier | undefined>>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  known(user: string): Verifier | undefined {
    const found = this.#known.get(user)
    return found && this.#clock.mono() - found.atMs < REMEMBERED_MS ? found.verifier : undefined
  }

  /** Undefined when there is none, or no server to ask. Never rejects. */
  ask(user: string, place: Place, secret: BalancerSecret): Promise<Verifier | undefined> {
    const asking = this.#asking.get(user) ?? this.#ask(user, place, secret)
    this.#asking.set(user, asking)
    return asking
  }

  async #ask(user: string, place: Place, secret: BalancerSecret): Promise<Verifier | undefined> {
    const text = await lookUp(user, place, secret, this.#clock)
    const verifier = text === undefined ? undefined : readVerifier(text)
    this.#asking.delete(user)
    this.#known.delete(user)
    if (!verifier) return undefined
    const [oldest] = this.#known.keys()
    if (this.#known.size >= REMEMBERED_MAX && oldest !== undefined) this.#known.delete(oldest)
    this.#known.set(user, { verifier, atMs: this.#clock.mono() })
    return verifier
  }
}

function lookUp(user: string, place: Place, secret: BalancerSecret, clock: Clock): Promise<string | undefined> {
  return new Promise((resolve) => {
    openSocket(place.host, place.port, CONNECT_MS, (socket) => {
      if (typeof socket === 'string') return resolve(undefined)
      const startup = startupPacket(
        new Map([
          ['user', secret.user],
          ['database', secret.database],
          ['application_name', 'understudy balancer'],
        ]),
      )
      const login = new Login({ kind: 'password', password: secret.password })
      const bytes = askedAside('_understudy_door', 'select understudy.verifier($1)', user)
      const arrival = new ServerLogin({ socket: forTraffic(socket), startup, clock }, login)
      arrival.send(
        () => ({ bytes, mustSucceed: [true] }),
        (result) => {
          socket.destroy()
          resolve(result.kind === 'ready' ? (result.rows[0]?.[0] ?? undefined) : undefined)
        },
      )
    })
  })
}
