/**
 * Finds a server for one client, again and again in the life of its connection: chooses a target, connects, tries the
 * next one when that fails, and is held while there is none. What was found stays joined to its target, so that the
 * session is told when that is lost or leaves.
 */
import type { Socket } from 'node:net'
import type { Cancel } from '../../../lib/clock.ts'
import type { Held } from '../../hold.ts'
import { type ConnectAttempt, forTraffic, openSocket } from '../../http/instance-connection.ts'
import type { LiveRoute } from '../../live-route.ts'
import type { Hanging, LiveTarget } from '../../target.ts'
import { CONNECT_MS, LAST_CONNECT_MS } from '../../target.ts'
import type { Place } from '../verifiers.ts'

/** A server that admits no client yet is tried again after so long, or as soon as the table changes. */
const AGAIN_MS = 100

const NOTHING_TRIED: ReadonlySet<LiveTarget> = new Set()

export interface SearchEvents {
  /** True: it has logged in there ahead, and no connection is needed. */
  onChosen(place: Place): boolean
  onReached(socket: Socket): void
  /** The target that is in use is gone, or must not be used any more. */
  onTargetLost(): void
  /** It takes nothing new, so that sessions that can be moved leave; or it has begun to hold, or has ended that. */
  onTargetChanged(): void
  onUnfound(why: 'hold-expired' | 'hold-full'): void
}

export class ServerSearch implements Hanging, Held {
  readonly #entrance: LiveRoute
  readonly #events: SearchEvents
  readonly #tried = new Set<LiveTarget>()
  #target: LiveTarget | undefined
  #connecting: ConnectAttempt | undefined
  #cancelAgain: Cancel | undefined
  #untilMs: number | undefined
  /** The table does not name the target any more. */
  #removed = false
  /** It is a standby that serves for want of a primary. */
  #isGuest = false
  /** What the search began from, until it was turned away anywhere. */
  #from: LiveTarget | undefined
  #over = false

  constructor(entrance: LiveRoute, events: SearchEvents) {
    this.#entrance = entrance
    this.#events = events
  }

  get target(): LiveTarget | undefined {
    return this.#target
  }

  /**
   * Whether an idle session goes now: because its server is about to end, or because another one can take it. What cannot be
   * moved stays in the second case.
   */
  isDue(session: { readonly obstacle: unknown }): boolean {
    const target = this.#target
    if (!target || (target.spec.state === 'serving' && !this.#removed)) return false
    if (target.spec.leaves === true) return true
    return session.obstacle === undefined && this.#entrance.choose(NOTHING_TRIED, false) !== undefined
  }

  /** Its server is about to end leading: a client that is between two transactions begins nothing there. */
  get isHolding(): boolean {
    return this.#target?.isHolding === true
  }

  /** From a target that was used until now, if there was one, to another, or the same again. */
  begin(): void {
    this.#from = this.#target
    this.#leave()
    this.#tried.clear()
    this.#seek()
  }

  /** The target was reached and would not have us: another one now, or the same a little later. */
  unsuitable(): void {
    const target = this.#target
    this.#leave()
    this.#from = undefined
    if (!target || this.#over) return
    this.#tried.add(target)
    this.#entrance.counters.retried += 1
    this.#seek()
  }

  /** It is where it was, and was never turned away. */
  get isStraightBack(): boolean {
    return this.#from !== undefined && this.#from === this.#target
  }

  /** The session is there: the patience of the next search begins anew. */
  settled(): void {
    this.#untilMs = undefined
  }

  end(): void {
    this.#over = true
    this.#leave()
    this.#entrance.hold.remove(this)
  }

  readonly go = (): void => {
    this.#cancelAgain?.()
    this.#cancelAgain = undefined
    this.#tried.clear()
    this.#seek()
  }

  giveUp(): void {
    this.#cancelAgain?.()
    this.#events.onUnfound('hold-expired')
  }

  /** It may be answered yet, and a statement that is under way cannot be moved. */
  onHung(): void {}

  onLost(): void {
    if (this.#connecting) this.unsuitable()
    else this.#events.onTargetLost()
  }

  onDraining(): void {
    this.#events.onTargetChanged()
  }

  onHoldChanged(): void {
    this.#events.onTargetChanged()
  }

  onRemoved(): void {
    if (this.#staysAtItsPlace()) return this.onHoldChanged()
    this.#removed = true
    // A standby that became the primary, or that served reads for want of one, is not lost: what is open there may end.
    const mayStay = this.#isGuest || this.#entrance.route.purpose !== 'primary'
    if (mayStay && !this.#connecting) this.onDraining()
    else this.onLost()
  }

  /**
   * The table names another process at the same place: the server was restarted. A connection ends with the process that it is
   * to, so one that is open is to the new one, or will be found broken in a moment.
   */
  #staysAtItsPlace(): boolean {
    const target = this.#target
    for (const other of this.#entrance.targets) {
      if (other.spec.host !== target?.spec.host || other.spec.port !== target.spec.port) continue
      target.leave(this)
      other.join(this)
      this.#target = other
      return true
    }
    return false
  }

  #seek(): void {
    if (this.#over) return
    // Nothing of this session is under way, so even a silent target may be tried: it costs no more than waiting.
    const target = this.#entrance.choose(this.#tried, true)
    if (!target) {
      this.#hold()
      return
    }
    this.#target = target
    this.#removed = false
    this.#isGuest = this.#entrance.route.readOnly !== null
    target.join(this)
    if (this.#events.onChosen(target.spec)) return
    const timeoutMs = this.#entrance.isLast(target, this.#tried) ? LAST_CONNECT_MS : CONNECT_MS
    this.#connecting = openSocket(target.spec.host, target.spec.port, timeoutMs, (result) => {
      this.#connecting = undefined
      if (typeof result !== 'string') {
        this.#events.onReached(forTraffic(result))
        return
      }
      if (result === 'refused') target.noteRefused()
      if (result === 'timeout') target.noteReset()
      this.unsuitable()
    })
  }

  #hold(): void {
    this.#from = undefined
    const { house, hold, route, counters } = this.#entrance
    const now = house.clock.mono()
    if (this.#untilMs === undefined) {
      this.#untilMs = now + route.holdMs
      counters.held += 1
    }
    if (this.#untilMs <= now) this.#events.onUnfound('hold-expired')
    else if (!hold.add(this, this.#untilMs)) this.#events.onUnfound('hold-full')
    // Those that were tried are tried again: what they refused may have passed.
    else if (this.#tried.size > 0) this.#cancelAgain = house.clock.after(AGAIN_MS, () => this.#again())
  }

  #again(): void {
    this.#entrance.hold.remove(this)
    this.go()
  }

  #leave(): void {
    this.#connecting?.cancel()
    this.#connecting = undefined
    this.#cancelAgain?.()
    this.#cancelAgain = undefined
    this.#target?.leave(this)
    this.#target = undefined
  }
}
