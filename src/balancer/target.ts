/**
 * One target as this balancer knows it, alive: the verdict on it, its connections, and everything that depends on it.
 *
 * The verdicts are made in verdict.ts; here is when probes are sent. At their turn (`probe.everyMs`), at once after a
 * failure, and whenever a request has waited for more than 100 ms: clients notice a hung instance first, so their
 * waiting is the earliest sign. At most two probes are open at one time, and two that were prompted by waiting are at
 * least 100 ms apart, so that slow but healthy instances are not flooded.
 */
import type { EndpointLimits } from '../core/endpoint-limits.ts'
import type { Route, Target } from '../core/routing-table.ts'
import type { Clock } from '../lib/clock.ts'
import { Pool } from './http/connection-pool.ts'
import type { openSocket } from './http/instance-connection.ts'
import type { LoopWatch } from './loop-watch.ts'
import { type Candidate, rankOf } from './pick.ts'
import { type ProbeAnswer, probe } from './target-probe.ts'
import { type Belief, type Evidence, firstBelief, patienceMs, weigh } from './verdict.ts'

/** How long to wait for a connection when there is another target to turn to. */
export const CONNECT_MS = 300
/** And when there is none: long enough for one lost SYN to be sent again, which the kernel does after a second. */
export const LAST_CONNECT_MS = 1_200

/** Something that a client waits for at a target: a request, an open tunnel, a TCP connection. */
export interface Hanging {
  /** The target was given up as hung. Whether to leave is up to the request. */
  onHung(): void
  /** The process is gone, or must not be used any more: leave now. */
  onLost(): void
  /** It takes nothing new, and something may have changed since this was told last: sessions that can be moved may leave. */
  onDraining?(): void
  /** Clients may begin nothing here for a moment, or may again: `LiveTarget.isHolding`. */
  onHoldChanged?(): void
  /** The table does not name it any more, which need not mean that it is gone. Without this, it is as if it were lost. */
  onRemoved?(): void
}

export interface TargetEvents {
  /** The belief changed in verdict or cause. */
  onVerdict(target: LiveTarget): void
  /** It has as many open requests as it may, or has room again. */
  onFull(target: LiveTarget): void
  /** It has just shown that it can work: who was held may try it. */
  onUsable(target: LiveTarget): void
}

/** A request that is unanswered for this long makes the balancer probe. */
export const WAITING_IS_LONG_MS = 100
const ASK_APART_MS = 100
/** A question is asked at the tick next to its time rather than a whole tick later. */
const ASK_EARLY_MS = 20
/**
 * A hold that is neither ended nor followed by the end of its primary for so long was lost with the agent that asked for it.
 * A primary gives up its own after 2 s at most (end-transactions.ts).
 */
const HOLDS_MOST_MS = 5_000
/** A target that was full and has this much room again is not full any more: so that it is not told at every request. */
const ROOM_AGAIN = 0.9

export class LiveTarget implements Candidate {
  readonly #clock: Clock
  readonly #loop: LoopWatch
  readonly #events: TargetEvents
  readonly pool: Pool
  readonly dial: typeof openSocket
  /** Everything that is open there, from the moment of the choice. */
  readonly #hanging = new Set<Hanging>()
  /** Of those: upgraded connections and event streams, which are idle most of the time. */
  readonly #streams = new Set<Hanging>()
  #limits: EndpointLimits
  #toldFull = false
  /** Sent and not yet answered, oldest first. */
  readonly #unanswered = new Map<Hanging, number>()
  readonly #questions = new Set<() => void>()
  #spec: Target
  #probe: Route['probe']
  #belief: Belief
  #nextAskMs: number
  #lastAskMs = Number.NEGATIVE_INFINITY
  #closed = false
  /** Since when the hold of this number is known. */
  #heldSinceMs = 0
  #toldHolding = false
  lifeMs: number

  constructor(
    spec: Target,
    probeSpec: Route['probe'],
    surroundings: { clock: Clock; loop: LoopWatch; phase: number; limits: EndpointLimits; dial: typeof openSocket },
    events: TargetEvents,
  ) {
    this.#spec = spec
    this.#probe = probeSpec
    this.#clock = surroundings.clock
    this.#heldSinceMs = surroundings.clock.mono()
    this.#loop = surroundings.loop
    this.#limits = surroundings.limits
    this.dial = surroundings.dial
    this.#events = events
    const now = this.#clock.mono()
    this.#belief = firstBelief(now)
    this.lifeMs = now
    // Balancers probe at different moments, so that an instance is not asked by all of them at once.
    this.#nextAskMs = now + surroundings.phase * probeSpec.everyMs
    this.pool = new Pool(() => this.#clock.mono())
  }

  get spec(): Target {
    return this.#spec
  }

  get belief(): Belief {
    return this.#belief
  }

  get load(): number {
    return this.#hanging.size - this.#streams.size
  }

  get streams(): number {
    return this.#streams.size
  }

  get full(): boolean {
    return this.load >= this.#limits.requests || this.streams >= this.#limits.streams
  }

  /** Was it said that it is full, and not yet that it has room again? */
  get toldFull(): boolean {
    return this.#toldFull
  }

  /** What it is full of, for a sentence. */
  get fullOf(): string {
    const { requests, streams } = this.#limits
    return this.streams >= streams ? `${streams} open streams` : `${requests} open requests`
  }

  /** Clients that are between two transactions may begin nothing here. */
  get isHolding(): boolean {
    const { leaves, holds } = this.#spec
    return leaves === true || (holds !== undefined && this.#clock.mono() - this.#heldSinceMs < HOLDS_MOST_MS)
  }

  update(spec: Target, probeSpec: Route['probe'], limits: EndpointLimits): void {
    if (spec.holds !== this.#spec.holds) this.#heldSinceMs = this.#clock.mono()
    this.#spec = spec
    this.#probe = probeSpec
    this.#limits = limits
  }

  /** From the choice of this target until `leave`. */
  join(hanging: Hanging): void {
    this.#hanging.add(hanging)
    if (!this.#toldFull && this.full) this.#tellFull(true)
  }

  /** Its answer goes on for as long as its client stays. */
  noteStream(hanging: Hanging): void {
    if (this.#hanging.has(hanging)) this.#streams.add(hanging)
  }

  leave(hanging: Hanging): void {
    this.#hanging.delete(hanging)
    this.#streams.delete(hanging)
    this.#unanswered.delete(hanging)
  }

  noteSent(hanging: Hanging): void {
    this.#unanswered.set(hanging, this.#clock.mono())
  }

  noteAnswered(hanging: Hanging): void {
    const now = this.#clock.mono()
    const sentMs = this.#unanswered.get(hanging)
    this.#unanswered.delete(hanging)
    this.lifeMs = now
    if (this.#belief.verdict === 'dead' && sentMs !== undefined) this.#weigh({ kind: 'served', sentMs })
  }

  noteRefused(): void {
    this.pool.flush()
    this.#weigh({ kind: 'refused' })
  }

  /** A connection broke, or did not come about in time: worth a question. */
  noteReset(): void {
    this.pool.flush()
    this.#weigh({ kind: 'reset' })
  }

  /** Moves or ends all that hangs here. */
  lose(): void {
    this.pool.flush()
    for (const hanging of [...this.#hanging]) hanging.onLost()
  }

  /** Tells what hangs here that it may go. */
  drain(): void {
    for (const hanging of [...this.#hanging]) hanging.onDraining?.()
  }

  /** Tells what hangs here when a hold has begun or ended. */
  lookAtHold(): void {
    const { isHolding } = this
    if (isHolding === this.#toldHolding) return
    this.#toldHolding = isHolding
    for (const hanging of [...this.#hanging]) hanging.onHoldChanged?.()
  }

  /** The table does not name it any more: no more probes, and its requests and sessions decide what that means. */
  remove(): void {
    this.#forgetQuestions()
    this.pool.flush()
    for (const hanging of [...this.#hanging]) {
      if (hanging.onRemoved) hanging.onRemoved()
      else hanging.onLost()
    }
  }

  /** Called every few tens of milliseconds. */
  tick(nowMs: number): void {
    this.pool.trim()
    this.lookAtHold()
    if (this.#toldFull && this.#hasRoomAgain) this.#tellFull(false)
    if (this.#spec.state === 'dead') return
    if (nowMs + ASK_EARLY_MS >= this.#nextAskMs && this.#questions.size === 0) {
      this.#ask()
    } else if (this.#oldestWaitMs(nowMs) > WAITING_IS_LONG_MS && nowMs - this.#lastAskMs >= ASK_APART_MS) {
      this.#ask()
    }
  }

  close(): void {
    this.#forgetQuestions()
    this.lose()
  }

  get #hasRoomAgain(): boolean {
    const { requests, streams } = this.#limits
    return this.load <= requests * ROOM_AGAIN && this.streams <= streams * ROOM_AGAIN
  }

  #tellFull(isFull: boolean): void {
    this.#toldFull = isFull
    this.#events.onFull(this)
    if (!isFull) this.#events.onUsable(this)
  }

  #forgetQuestions(): void {
    this.#closed = true
    for (const forget of this.#questions) forget()
    this.#questions.clear()
  }

  #oldestWaitMs(nowMs: number): number {
    for (const sentMs of this.#unanswered.values()) return nowMs - sentMs
    return 0
  }

  #ask(): void {
    if (this.#closed || this.#questions.size >= 2) return
    const startedMs = this.#clock.mono()
    this.#lastAskMs = startedMs
    this.#nextAskMs = startedMs + this.#probe.everyMs
    const question = {
      ...this.#probe,
      host: this.#spec.host,
      port: this.#spec.port,
      patienceMs: patienceMs(this.#belief, this.#probe.timeoutMs),
    }
    const forget = probe(question, this.dial, (answer) => {
      this.#questions.delete(forget)
      if (!this.#closed) this.#hear(answer, startedMs)
    })
    this.#questions.add(forget)
  }

  #hear(answer: ProbeAnswer, startedMs: number): void {
    const now = this.#clock.mono()
    switch (answer.kind) {
      case 'answered':
        this.lifeMs = now
        this.#weigh({ kind: 'answered', tookMs: now - startedMs })
        break
      case 'unhealthy':
        this.lifeMs = now
        this.#weigh(answer)
        break
      case 'missed':
      case 'reset':
        // A probe whose connection broke was not answered either: the question stays open and is asked again.
        this.#weigh({
          kind: 'missed',
          startedMs,
          lifeMs: this.lifeMs,
          ownLoopStalled: this.#loop.stalledSince(startedMs, now),
        })
        break
      case 'refused':
        this.#weigh(answer)
        break
      case 'not-asked':
        break
    }
  }

  #weigh(evidence: Evidence): void {
    const before = this.#belief
    const { belief, askAgain } = weigh(before, evidence, this.#clock.mono())
    this.#belief = belief
    if (askAgain) this.#ask()
    if (belief.verdict !== before.verdict || belief.cause !== before.cause) {
      this.#events.onVerdict(this)
      if (belief.verdict === 'dead') this.#giveUp()
    }
    const good = evidence.kind === 'answered' || evidence.kind === 'unhealthy' || evidence.kind === 'served'
    if (good && rankOf(belief) !== 'never') this.#events.onUsable(this)
  }

  #giveUp(): void {
    this.pool.flush()
    for (const hanging of [...this.#unanswered.keys()]) hanging.onHung()
  }
}
