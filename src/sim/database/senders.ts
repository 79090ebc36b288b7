/**
 * The sending end: the streams from this server, what each has flushed, and which commits wait for that. A commit is
 * acknowledged when `k` of the named standbys have it; that is all that synchronous replication does, and it knows
 * names only.
 */
import type { NodeName } from '../../core/model.ts'
import type { DatabaseServer } from './database-server.ts'
import { type Entry, endOfTimeline } from './wal-model.ts'

/** The other end of a stream. */
export interface Stream {
  /** The primary takes it, or does not. */
  answered(taken: boolean): void
  /** A part of the WAL, from `at` on. */
  take(at: number, entries: readonly Entry[]): void
  /** The connection broke. */
  lost(): void
}

/** With what a receiver asks for a stream. */
export interface Request {
  /** What the quorum is counted by. */
  readonly name: NodeName
  readonly length: number
  readonly timeline: number
  /** It shows the replication password. */
  readonly hasPassword: boolean
}

interface Sender {
  readonly name: NodeName
  /** From where it began. */
  readonly start: number
  sent: number
  flushed: number
  heardAt: number
}

interface Waiting {
  readonly index: number
  readonly since: number
  readonly done: (how: Waited) => void
}

/** A wait that was cancelled returns as if it had succeeded, with a warning that is easily overlooked (trap 8). */
export type Waited = 'acknowledged' | 'cancelled'

const TICK_MS = 250
/** Entries: max_slot_wal_keep_size. */
const SLOT_HOLDS = 8
const SILENT_FOR_MS = 3_000

export class Senders {
  readonly #server: DatabaseServer
  readonly #senders = new Map<Stream, Sender>()
  #waiting: Waiting[] = []
  #ticking = false

  constructor(server: DatabaseServer) {
    this.#server = server
  }

  /** Who streams, and how far behind each is. */
  get streaming(): { node: NodeName; lag: number }[] {
    const { length } = this.#server.disk.log
    return [...this.#senders.values()].map(({ name, flushed }) => ({ node: name, lag: Math.max(0, length - flushed) }))
  }

  /** How many streams under one of these names have the entry: streams are counted, and not standbys (trap 6). */
  confirmations(standbys: readonly NodeName[], index: number): number {
    let count = 0
    for (const { name, flushed } of this.#senders.values()) if (flushed > index && standbys.includes(name)) count += 1
    return count
  }

  /** For how long the oldest commit has waited. */
  get waitsForMs(): number {
    const [oldest] = this.#waiting
    return oldest ? this.#server.parts.clock.mono() - oldest.since : 0
  }

  connect(node: NodeName, stream: Stream, request: Request): void {
    const { disk, parts } = this.#server
    const taken = this.#admits(request) && this.#has(request)
    this.#reach(node, () => stream.answered(taken))
    if (!taken) return
    const { name, length } = request
    const heardAt = parts.clock.mono()
    this.#senders.set(stream, { name, start: length, sent: disk.log.length, flushed: 0, heardAt })
    this.#reach(node, () => stream.take(length, disk.log.slice(length)))
    this.#tick()
    this.#server.changed()
  }

  /**
   * Only a client with the replication password may stream at all, and under each name only one at a time: a slot can
   * be used once. Without either, the names in the quorum would be counted and mean nothing (trap 6).
   */
  #admits({ name, hasPassword }: Request): boolean {
    if (!hasPassword) return false
    const isInUse = [...this.#senders.values()].some((sender) => sender.name === name)
    return !isInUse && this.#server.disk.slots.has(name)
  }

  /** By numbers alone: its timeline must end here where its WAL does, or later. Whose entries they are is not checked. */
  #has({ length, timeline }: Request): boolean {
    const { inRecovery, runs, disk } = this.#server
    const end = endOfTimeline(disk.log, timeline)
    return !inRecovery && runs && end !== undefined && length <= end && length >= disk.keptFrom
  }

  gone(stream: Stream): void {
    if (this.#senders.delete(stream)) this.#server.changed()
  }

  flushed(stream: Stream, length: number): void {
    const sender = this.#senders.get(stream)
    if (!sender) return
    sender.flushed = Math.max(sender.flushed, length)
    sender.heardAt = this.#server.parts.clock.mono()
    this.release()
  }

  pump(): void {
    const { log } = this.#server.disk
    for (const [stream, sender] of this.#senders) {
      if (sender.sent >= log.length) continue
      const [at, entries] = [sender.sent, log.slice(sender.sent)]
      sender.sent = log.length
      this.#reach(sender.name, () => stream.take(at, entries))
    }
  }

  await(entry: Entry, done: (how: Waited) => void): void {
    if (this.#server.isHasty) return done('acknowledged')
    this.#waiting.push({ index: entry.index, since: this.#server.parts.clock.mono(), done })
    this.release()
  }

  /** Acknowledges what may be, by the quorum as it is now. */
  release(): void {
    if (this.#waiting.length === 0) return
    const { standbys, k } = this.#server
    const flushed: number[] = []
    for (const sender of this.#senders.values()) if (standbys.includes(sender.name)) flushed.push(sender.flushed)
    flushed.sort((a, b) => b - a)
    const safe = k === 0 ? Number.POSITIVE_INFINITY : (flushed[k - 1] ?? 0)
    while (this.#waiting[0] && this.#waiting[0].index < safe) this.#waiting.shift()?.done('acknowledged')
  }

  /** A client cancels the waits: the commits are there, and were never acknowledged as safe (trap 8). */
  cancelWaits(): void {
    for (const { done } of this.#waiting.splice(0)) done('cancelled')
  }

  haveAll(): boolean {
    const { length } = this.#server.disk.log
    return [...this.#senders.values()].every(({ flushed }) => flushed >= length)
  }

  /** `tells`: the kernel closes the connections; without power no peer is told. */
  end(tells: boolean): void {
    for (const [stream, { name }] of this.#senders) if (tells) this.#reach(name, () => stream.lost())
    this.#senders.clear()
    this.#ticking = false
    this.#waiting = []
  }

  /**
   * More is written than slots may hold back: a standby that lacks much of the WAL before `length` loses its stream and
   * its slot, and so does one that is away (trap 23). Returns from where on the others need it.
   */
  letGoBehind(length: number): number {
    const { slots } = this.#server.disk
    slots.clear()
    let needed = length
    for (const [stream, sender] of [...this.#senders]) {
      const has = Math.max(sender.start, sender.flushed)
      if (has < length - SLOT_HOLDS) this.#drop(stream, sender)
      else slots.add(sender.name)
      if (has >= length - SLOT_HOLDS) needed = Math.min(needed, has)
    }
    return needed
  }

  #drop(stream: Stream, { name }: Sender): void {
    this.#reach(name, () => stream.lost())
    this.gone(stream)
  }

  #sendAgain(stream: Stream, { name, start, flushed }: Sender): void {
    const at = Math.max(start, flushed)
    const entries = this.#server.disk.log.slice(at)
    this.#reach(name, () => stream.take(at, entries))
  }

  #reach(node: NodeName, then: () => void): void {
    this.#server.parts.network.converse(this.#server.parts.node, node, then)
  }

  /** Keepalives, and again what was not confirmed: a connection loses nothing as long as it stands. */
  #tick(): void {
    if (this.#ticking) return
    this.#ticking = true
    this.#server.gate.after(TICK_MS, () => {
      this.#ticking = false
      const now = this.#server.parts.clock.mono()
      for (const [stream, sender] of [...this.#senders]) {
        if (now - sender.heardAt > SILENT_FOR_MS) this.gone(stream)
        else this.#sendAgain(stream, sender)
      }
      if (this.#senders.size > 0) this.#tick()
    })
  }
}
