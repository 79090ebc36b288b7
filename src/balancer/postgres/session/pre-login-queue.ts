/** Sends the sessions of one route ahead to who is to lead next: a few at a time, because the servers have other work. */
import type { NodeName } from '../../../core/model.ts'
import type { LiveRoute } from '../../live-route.ts'
import type { ClientSession } from './client-session.ts'

/** Logins under way at once. */
const AT_ONCE = 8

export class PreLoginQueue {
  readonly #entrance: LiveRoute
  readonly #passages: () => Iterable<ClientSession>
  #there: NodeName | undefined
  /** A session may have logged in ahead. */
  #isOut = false

  constructor(entrance: LiveRoute, passages: () => Iterable<ClientSession>) {
    this.#entrance = entrance
    this.#passages = passages
  }

  /** Where all that can be moved have logged in. */
  get there(): NodeName | undefined {
    return this.#there
  }

  /** Looked at now and then, and whenever one has come there. */
  readonly look = (): void => {
    const next = [...this.#entrance.targets].find(({ spec }) => spec.next === true)?.spec
    if (!next && !this.#isOut) return
    this.#isOut = next !== undefined
    const sessions = [...this.#passages()].flatMap((passage) => {
      if (passage.working?.ahead.wantsRehearsal && passage.working.state.idle) passage.onIdle()
      return passage.working ?? []
    })
    // One that is held keeps what it has: it may come to that.
    if (!next) for (const { ahead } of sessions) ahead.drop()
    const underWay = sessions.filter(({ ahead }) => ahead.state === 'under-way').length
    const waiting = next ? sessions.filter(({ ahead, staysBehind }) => ahead.state === 'none' && !staysBehind) : []
    this.#there = waiting.length + underWay === 0 ? next?.node : undefined
    if (next) for (const session of waiting.slice(0, AT_ONCE - underWay)) session.goAhead(next, this.look)
  }
}
