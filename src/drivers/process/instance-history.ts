/**
 * What is known of this instance beyond the life of one agent: who it is (instance-record.ts), how often it has failed, and until
 * when its back-off lasts. In memory and on disk, the disk first.
 */
import type { InstanceReport, Outdated } from '../../core/model.ts'
import { bootId } from '../../lib/boot.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Random } from '../../lib/random.ts'
import { ENDS_AT_MOST, LATELY_MS, restartWaitMs } from '../restart-backoff.ts'
import { type InstanceRecord, readRecord, writeRecord } from './instance-record.ts'
import { outdatedSince, type StartedFrom, secretParts } from './started-from.ts'

const MOST_ENDS = 10

export class InstanceHistory {
  readonly #path: string
  readonly #clock: Clock
  readonly #random: Random
  readonly #startedFrom: StartedFrom
  #record: InstanceRecord | undefined
  #failures = 0
  #lastEnd = ''
  #retryAtMono = 0
  /** When it ended by itself lately, while this agent looked on. */
  #ends: number[] = []

  /** `startedFrom`: what the next instance is started from. */
  constructor(path: string, clock: Clock, random: Random, startedFrom: StartedFrom) {
    this.#path = path
    this.#startedFrom = startedFrom
    this.#clock = clock
    this.#random = random
  }

  /** Of the last instance, when none runs. */
  get record(): InstanceRecord | undefined {
    return this.#record
  }

  get failures(): number {
    return this.#failures
  }

  /** How often it ended by itself within the last minute. */
  get #endsLately(): number {
    return this.#ends.filter((at) => this.#clock.mono() - at < LATELY_MS).length
  }

  /** What counts against it. */
  report(): Pick<InstanceReport, 'failures' | 'retryInMs' | 'lastEnd'> {
    const retryInMs = Math.max(0, this.#retryAtMono - this.#clock.mono())
    return { failures: this.#failures, retryInMs, ...(this.#lastEnd !== '' && { lastEnd: this.#lastEnd }) }
  }

  /** What an earlier agent wrote in this boot of the machine. */
  load(): InstanceRecord | undefined {
    const record = readRecord(this.#path)
    if (!record) return undefined
    this.#record = record
    this.#failures = record.failures
    this.#lastEnd = record.failures > 0 ? record.note : ''
    this.#retryAtMono = record.retryAtMono
    if (record.phase === 'ended') this.#beginAnew()
    return record
  }

  /** How it differs from what the next instance is started from. */
  get outdated(): Outdated | undefined {
    return outdatedSince(this.#record?.startedFrom, this.#startedFrom)
  }

  /** What another program did, or the same under other conditions, does not count against the next one. */
  #beginAnew(): void {
    if (!this.outdated) return
    this.#failures = 0
    this.#lastEnd = ''
    this.#retryAtMono = 0
    this.#ends = []
  }

  /** A new instance, behind its gate. */
  open({
    secrets = {},
    ...instance
  }: Pick<InstanceRecord, 'identity' | 'role' | 'term' | 'port' | 'secrets'>): InstanceRecord {
    this.#retryAtMono = 0
    return this.#write({
      bootId: bootId(),
      phase: 'gated',
      ...instance,
      told: true,
      startedAtMono: this.#clock.mono(),
      wasHealthy: false,
      failures: this.#failures,
      retryAtMono: 0,
      note: this.#lastEnd,
      startedFrom: { ...this.#startedFrom, ...secretParts(secrets) },
      ...(Object.keys(secrets).length > 0 && { secrets }),
    })
  }

  change(change: Partial<InstanceRecord>): InstanceRecord | undefined {
    return this.#record && this.#write({ ...this.#record, ...change })
  }

  /** For what an agent can do without: a disk that is full is no reason to disturb what runs. */
  changeIfPossible(change: Partial<InstanceRecord>): void {
    try {
      this.change(change)
    } catch {
      // A later agent then knows an older truth; it verifies what matters (is this process there?) for itself.
    }
  }

  /** Nothing of the instance is left. */
  close(note: string, failed: boolean): void {
    if (failed && this.#endsLately === 0 && this.#failures === 1) this.#failures = 0 // what was kept is long ago
    if (failed) this.#failures += 1
    if (failed) this.#ends = [...this.#ends, this.#clock.mono()].slice(-MOST_ENDS)
    if (failed) this.#lastEnd = note
    this.#retryAtMono = failed ? this.#clock.mono() + restartWaitMs(this.#failures, this.#random) : 0
    this.#beginAnew()
    this.changeIfPossible({ phase: 'ended', failures: this.#failures, retryAtMono: this.#retryAtMono, note })
  }

  /** A spell of good health: earlier failures count no more, but for one when there were many lately: with the next it is crashing. */
  forgive(): void {
    this.#failures = this.#endsLately > ENDS_AT_MOST ? 1 : 0
    if (this.#failures === 0) this.#lastEnd = ''
    this.changeIfPossible({ failures: this.#failures, note: this.#lastEnd })
  }

  #write(record: InstanceRecord): InstanceRecord {
    writeRecord(this.#path, record)
    this.#record = record
    return record
  }
}
