/**
 * One session, logged in at the successor while it still works where it is. In a switchover all sessions move at once,
 * and a login costs a server about 10 ms of processor: a new process, its proof, its catalog. Done before any session
 * is held, that is no part of the pause. Nothing is sent on it but the login, so that it can be discarded whatever
 * becomes of the switchover.
 */

import type { Socket } from 'node:net'
import { inBackground } from '../../../lib/background.ts'
import { type ConnectAttempt, forTraffic, openSocket } from '../../http/instance-connection.ts'
import type { Place } from '../verifiers.ts'
import type { ServerLogin } from './server-login.ts'

const CONNECT_MS = 1_000

/** Begins to log in on a connection. `ended`: whether anything came of it, and again with false when it is lost later. */
export type BeginLogin = (socket: Socket, ended: (isIn: boolean) => void) => ServerLogin

export class PreLogin {
  #place: Place | undefined
  #connecting: ConnectAttempt | undefined
  #arrival: ServerLogin | undefined
  /** `failed`: not tried again at this place. */
  state: 'none' | 'under-way' | 'there' | 'failed' = 'none'
  /** What is asked once more before it leaves (state-snapshot.ts) takes its server half as long the second time. */
  wantsRehearsal = false

  /** `changed` is called when it is there, or will not be. */
  go({ host, port }: Place, login: Promise<BeginLogin>, changed: () => void): void {
    this.drop()
    const place = { host, port } // this attempt's own: a later one may be at the same place
    this.#place = place
    this.state = 'under-way'
    const end = (isIn: boolean): void => {
      if (this.#place !== place) return // it was given away, or is not wanted any more
      if (!isIn) this.drop()
      this.state = isIn ? 'there' : 'failed'
      this.wantsRehearsal = isIn
      changed()
    }
    inBackground(
      login.then((begin) => {
        if (this.#place !== place) return
        this.#connecting = openSocket(host, port, CONNECT_MS, (result) => {
          this.#connecting = undefined
          if (typeof result === 'string') end(false)
          else this.#arrival = begin(forTraffic(result), end)
        })
      }),
      'a login ahead',
    )
  }

  /** Gives it away, when it is at this place and alive. A session never goes back: elsewhere it is discarded. */
  take({ host, port }: Place): ServerLogin | undefined {
    const arrival = this.#place?.host === host && this.#place.port === port ? this.#arrival : undefined
    if (arrival) this.#arrival = undefined
    this.drop()
    return arrival
  }

  drop(): void {
    this.#connecting?.cancel()
    this.#connecting = undefined
    this.#arrival?.cancel()
    this.#arrival = undefined
    this.#place = undefined
    this.wantsRehearsal = false
    this.state = 'none'
  }
}
