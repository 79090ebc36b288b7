/** Replay on one server: takes its time, can be paused or blocked, and heeds a reload only when it has nothing to do. */
import type { DatabaseServer } from './database-server.ts'

const TICK_MS = 2
/** Entries for each millisecond: about 130 MB/s of WAL were measured. */
const USUAL_RATE = 20
const SLOW_RATE = 0.02

export class Replay {
  readonly #server: DatabaseServer
  #replayed = 0
  #since = 0
  /** An operator paused it; a client's query blocks it. Both survive until they are ended. */
  paused = false
  blocked = false
  rate = USUAL_RATE

  constructor(server: DatabaseServer) {
    this.#server = server
  }

  begin(): void {
    this.#replayed = Math.min(this.#server.disk.checkpoint, this.#server.disk.log.length)
    this.#since = this.#server.parts.clock.mono()
    this.paused = false
    this.blocked = false
  }

  /** Crash recovery of a primary: done before it answers any client. */
  finish(): void {
    this.#replayed = this.#server.disk.log.length
  }

  get replayed(): number {
    const now = this.#server.parts.clock.mono()
    const { log } = this.#server.disk
    if (!this.#server.inRecovery) this.#replayed = log.length
    else if (this.paused || this.blocked || this.#server.isFrozen) this.#replayed = Math.min(this.#replayed, log.length)
    else this.#replayed = Math.min(log.length, this.#replayed + (now - this.#since) * this.rate)
    this.#since = now
    return Math.floor(this.#replayed)
  }

  /** The startup process itself says so: it waits for more. */
  get isExhausted(): boolean {
    return this.replayed >= this.#server.disk.log.length && !this.paused && !this.blocked
  }

  pause(): void {
    void this.replayed
    this.paused = true
  }

  block(): void {
    void this.replayed
    this.blocked = true
  }

  /** As it usually is. */
  heal(): void {
    this.resume()
    this.rate = USUAL_RATE
  }

  slow(): void {
    void this.replayed
    this.rate = SLOW_RATE
  }

  resume(): void {
    void this.replayed
    this.paused = false
    this.blocked = false
  }

  /** Between two pieces of WAL: what is busy, paused or blocked does not get to it. */
  whenIdle(then: () => void): void {
    this.#when(() => !this.paused && !this.blocked && this.replayed >= this.#server.disk.log.length, then)
  }

  whenExhausted(then: () => void): void {
    this.#when(() => this.isExhausted, then)
  }

  #when(is: () => boolean, then: () => void): void {
    const { gate } = this.#server
    const look = () => {
      if (is()) then()
      else gate.after(TICK_MS, look)
    }
    gate.after(1, look)
  }
}
