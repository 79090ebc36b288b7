/**
 * The state of the server as it is reported to the core: since when it is in which state, how often it ended by itself,
 * and what is to be said about it. Listeners are told of each change at once.
 */
import type { InstanceReport } from '../../../core/model.ts'
import type { Position } from '../../../core/replicated/quorum-config.ts'
import { backoffMs } from '../../../lib/backoff.ts'
import type { Clock } from '../../../lib/clock.ts'
import type { Stop } from '../../../lib/stop.ts'
import type { Replica } from '../replica.ts'
import { replicaReport } from './observe-server.ts'
import type { Watch } from './server-watch.ts'

const BACKOFF = { firstMs: 500, mostMs: 30_000 }

export class ServerLifecycle {
  readonly #clock: Clock
  readonly #service: string
  readonly #listeners = new Set<() => void>()
  #stateSince: number
  #endedAt = 0
  #state: InstanceReport['state'] = 'stopped'
  #holding: number | undefined
  #lastHold = 0
  /** Unexpected ends in a row. */
  failures = 0
  note = ''
  /** Undefined: not recruited. Null: recruited, without any data. */
  recruited: Position | null | undefined

  constructor(service: string, clock: Clock) {
    this.#service = service
    this.#clock = clock
    this.#stateSince = clock.mono()
  }

  get state(): InstanceReport['state'] {
    return this.#state
  }

  report(replica: Replica | undefined, watch: Watch | undefined): InstanceReport {
    const running = replica?.runs === true
    const leads = running && watch?.sight?.inRecovery === false
    const now = this.#clock.mono()
    const retryAt = this.#endedAt + backoffMs(this.failures, BACKOFF)
    // What led and has ended keeps its term: it may be started again where it was.
    const term = leads || !running ? (replica?.record.leading?.term ?? 0) : 0
    return {
      service: this.#service,
      role: !running ? 'none' : leads ? 'primary' : 'standby',
      state: this.#state,
      health: running ? (watch?.health ?? 'unknown') : 'unknown',
      note: [watch?.note, this.note, running ? watch?.slots : ''].filter(Boolean).join('; '),
      healthForMs: now - (watch?.healthSince ?? this.#stateSince),
      stateForMs: now - this.#stateSince,
      hung: watch?.hung ?? false,
      term,
      failures: this.failures,
      retryInMs: running || this.failures === 0 ? 0 : Math.max(0, retryAt - now),
      ...(running && replica.postmaster ? replica.postmaster.identity : {}),
      ...(replica ? { port: replica.port } : {}),
      ...(running && this.#holding !== undefined ? { holding: this.#holding } : {}),
      ...(running && replica.outdated ? { outdated: replica.outdated } : {}),
      ...(replica ? { replica: replicaReport(replica, watch?.sight ?? null, this.recruited, watch?.heardAgoMs) } : {}),
    }
  }

  enter(state: InstanceReport['state']): void {
    if (state === this.#state) return
    this.#state = state
    this.#stateSince = this.#clock.mono()
    this.tell()
  }

  /** Balancers let nothing begin until `release`. Returns the number of this hold, which no earlier one had. */
  hold(): number {
    this.#lastHold = Math.max(Math.floor(this.#clock.mono()), this.#lastHold + 1) // also over a restart of the agent
    this.#holding = this.#lastHold
    this.tell()
    return this.#lastHold
  }

  release(): void {
    if (this.#holding === undefined) return
    this.#holding = undefined
    this.tell()
  }

  /** `byItself`: not ended on request. */
  stopped(note: string, byItself: boolean): void {
    if (this.#state === 'stopped') return
    this.note = note
    this.#endedAt = this.#clock.mono()
    if (byItself) this.failures += 1
    this.enter('stopped')
  }

  onChange(changed: () => void): Stop {
    this.#listeners.add(changed)
    return () => void this.#listeners.delete(changed)
  }

  tell(): void {
    for (const listener of [...this.#listeners]) listener()
  }
}
