/**
 * The receiving end of a stream: a process of its own beside the server. It takes its orders from the process that
 * started it; what stands in the files by now does not matter to it.
 */
import type { NodeName } from '../../core/model.ts'
import type { DatabaseServer } from './database-server.ts'
import type { Stream } from './senders.ts'
import type { Entry } from './wal-model.ts'

const SILENT_FOR_MS = 3_000
const LOOK_EVERY_MS = 500
const WAITS_FOR_DISK = 0.2
const SLOW_END_MS = 300
const STUCK_MS = 2_000

export class Receiver implements Stream {
  readonly from: NodeName
  readonly #server: DatabaseServer
  /** Written and not flushed: not acknowledged, lost with the power, kept by an orderly end. */
  #buffer: readonly Entry[] = []
  #heardAt: number
  #alive = true
  #ending = false
  #isForgotten = false
  /** The other end has heard that this one is gone. */
  #hungUp = false
  streaming = false

  constructor(server: DatabaseServer, from: NodeName) {
    this.#server = server
    this.from = from
    const { clock, network, node, peer } = server.parts
    this.#heardAt = clock.mono()
    const { log, key } = server.disk
    const request = { name: node, length: log.length, timeline: log.at(-1)?.timeline ?? 0, hasPassword: key !== null }
    network.converse(node, from, () => {
      const primary = peer(from)
      if (primary?.refusesConnections) return network.converse(from, node, () => this.answered(false))
      // One that closed before it was answered is not there any more when the answer comes.
      primary?.gate.deliver(() => !this.#hungUp && primary.senders.connect(node, this, request))
    })
    this.#watch()
  }

  get heardAgoMs(): number {
    return this.#server.parts.clock.mono() - this.#heardAt
  }

  /** The primary takes it, or does not. */
  answered(taken: boolean): void {
    this.#hear(() => {
      if (!taken) return this.end()
      this.streaming = true
      this.#server.changed()
    })
  }

  /** A part of the WAL, from `at` on. What it has already is left out; a gap is sent again from where it begins. */
  take(at: number, entries: readonly Entry[]): void {
    if (!this.#alive) return this.#reset()
    this.#hear(() => {
      if (!this.streaming) this.#server.changed()
      this.streaming = true
      const { log } = this.#server.disk
      const has = log.length + this.#buffer.length
      if (at > has) return
      this.#buffer = [...this.#buffer, ...entries.slice(has - at)]
      if (this.#server.disk.full && this.#buffer.length > 0 && this.#server.process)
        return this.#server.parts.processes.crash(this.#server.process, 'PANIC: no space left on device')
      this.#server.gate.after(this.#server.disk.flushMs, () => {
        if (!this.#alive) return
        this.#flush()
        this.#reply()
      })
    })
  }

  /** SIGTERM: takes a moment, longer when it is waiting for the disk, and the last act is to write down what it has. */
  terminate(): void {
    if (this.#ending) return
    this.#ending = true
    const { random, disk } = this.#server.parts
    const usualMs = random() < WAITS_FOR_DISK ? SLOW_END_MS * random() : 1 + 4 * random()
    const takesMs = disk.ailments.stuckReceiver ? STUCK_MS * random() : usualMs
    this.#server.gate.after(takesMs, () => {
      if (!this.#alive) return
      this.#flush()
      this.end()
    })
  }

  /** The connection broke. */
  lost(): void {
    this.#hear(() => {
      this.#flush()
      this.end()
    })
  }

  /** Something between the two forgets the connection: this end hears of it, and the other one never. */
  forgotten(): void {
    this.#isForgotten = true
    this.#hear(() => {
      this.#flush()
      this.end(false)
    })
  }

  end(tells = true): void {
    if (!this.#alive) return
    this.die(tells)
    if (this.#server.receiver === this) this.#server.receiver = null
    this.#server.changed()
  }

  /** Without power nothing is flushed, and no peer is told. */
  die(tells: boolean): void {
    this.#alive = false
    this.streaming = false
    const { network, node, peer } = this.#server.parts
    if (!tells) return
    network.converse(node, this.from, () => {
      this.#hungUp = true
      peer(this.from)?.senders.gone(this)
    })
  }

  /** What comes for a connection that this host does not know is answered by its kernel, as soon as that runs again. */
  #reset(): void {
    if (this.#server.runs && !this.#isForgotten) this.die(true)
  }

  #flush(): void {
    const { disk } = this.#server
    disk.log.push(...this.#buffer)
    if (this.#buffer.length > 0) this.#server.received = disk.log.length
    this.#buffer = []
  }

  #reply(): void {
    const { network, node, peer } = this.#server.parts
    const flushed = this.#server.disk.log.length
    network.converse(node, this.from, () => {
      const primary = peer(this.from)
      primary?.gate.deliver(() => primary.senders.flushed(this, flushed))
    })
  }

  #hear(then: () => void): void {
    this.#server.gate.deliver(() => {
      if (!this.#alive) return
      this.#heardAt = this.#server.parts.clock.mono()
      then()
    })
  }

  #watch(): void {
    this.#server.gate.after(LOOK_EVERY_MS, () => {
      if (!this.#alive) return
      if (this.#server.parts.clock.mono() - this.#heardAt > SILENT_FOR_MS) this.lost()
      else this.#watch()
    })
  }
}
