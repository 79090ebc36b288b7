/**
 * The sending end: who streams from this server, what each of them has flushed, and which commits wait for that. A commit is
 * acknowledged when `k` of the named members have it; that is the whole of the synchronous rule, and it knows names only.
 */
import type { NodeName } from '../../core/model.ts'
import { type Entry, endOfTimeline } from './log.ts'
import type { Receiver } from './receiver.ts'
import type { DatabaseServer } from './server.ts'

interface Sender {
  readonly receiver: Receiver
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

/** A wait that was cancelled returns as if all were well, with a warning that is easily overlooked (trap 8). */
export type Waited = 'acknowledged' | 'cancelled'

const TICK_MS = 250
const SILENT_FOR_MS = 3_000

export class Senders {
  readonly #server: DatabaseServer
  readonly #senders = new Map<NodeName, Sender>()
  #waiting: Waiting[] = []
  #ticking = false

  constructor(server: DatabaseServer) {
    this.#server = server
  }

  /** Who streams, and how far behind each is. */
  get streaming(): { node: NodeName; lag: number }[] {
    const { length } = this.#server.disk.log
    return [...this.#senders].map(([node, { flushed }]) => ({ node, lag: Math.max(0, length - flushed) }))
  }

  flushedBy(node: NodeName): number {
    return this.#senders.get(node)?.flushed ?? 0
  }

  /** For how long the oldest commit has waited. */
  get waitsForMs(): number {
    const [oldest] = this.#waiting
    return oldest ? this.#server.parts.clock.mono() - oldest.since : 0
  }

  /** By numbers alone: its timeline must end here where its log does, or later. Whose entries they are is not asked. */
  connect(node: NodeName, receiver: Receiver, { length, timeline }: { length: number; timeline: number }): void {
    const { inRecovery, runs, disk, parts } = this.#server
    const end = endOfTimeline(disk.log, timeline)
    const taken = !inRecovery && runs && end !== undefined && length <= end
    this.#reach(node, () => receiver.answered(taken))
    if (!taken) return
    this.#senders.set(node, { receiver, start: length, sent: disk.log.length, flushed: 0, heardAt: parts.clock.mono() })
    this.#reach(node, () => receiver.take(length, disk.log.slice(length)))
    this.#tick()
    this.#server.changed()
  }

  gone(node: NodeName, receiver: Receiver): void {
    if (this.#senders.get(node)?.receiver !== receiver) return
    this.#senders.delete(node)
    this.#server.changed()
  }

  flushed(node: NodeName, receiver: Receiver, length: number): void {
    const sender = this.#senders.get(node)
    if (sender?.receiver !== receiver) return
    sender.flushed = Math.max(sender.flushed, length)
    sender.heardAt = this.#server.parts.clock.mono()
    this.release()
  }

  pump(): void {
    const { log } = this.#server.disk
    for (const [node, sender] of this.#senders) {
      if (sender.sent >= log.length) continue
      const [at, entries] = [sender.sent, log.slice(sender.sent)]
      sender.sent = log.length
      this.#reach(node, () => sender.receiver.take(at, entries))
    }
  }

  await(entry: Entry, done: (how: Waited) => void): void {
    this.#waiting.push({ index: entry.index, since: this.#server.parts.clock.mono(), done })
    this.release()
  }

  /** Acknowledges what may be, by the rule as it is now. */
  release(): void {
    if (this.#waiting.length === 0) return
    const { members, k } = this.#server
    const flushed = members.map((node) => this.flushedBy(node)).sort((a, b) => b - a)
    const safe = k === 0 ? Number.POSITIVE_INFINITY : (flushed[k - 1] ?? 0)
    while (this.#waiting[0] && this.#waiting[0].index < safe) this.#waiting.shift()?.done('acknowledged')
  }

  /** Somebody cancels the waits: the commits are there, and nobody was told that they are safe (trap 8). */
  cancelWaits(): void {
    for (const { done } of this.#waiting.splice(0)) done('cancelled')
  }

  haveAll(): boolean {
    const { length } = this.#server.disk.log
    return [...this.#senders.values()].every(({ flushed }) => flushed >= length)
  }

  /** `tells`: the kernel closes the connections; without power nobody hears anything. */
  end(tells: boolean): void {
    for (const [node, { receiver }] of this.#senders) if (tells) this.#reach(node, () => receiver.lost())
    this.#senders.clear()
    this.#ticking = false
    this.#waiting = []
  }

  #sendAgain(node: NodeName, { receiver, start, flushed }: Sender): void {
    const at = Math.max(start, flushed)
    const entries = this.#server.disk.log.slice(at)
    this.#reach(node, () => receiver.take(at, entries))
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
      for (const [node, sender] of this.#senders) {
        if (now - sender.heardAt > SILENT_FOR_MS) this.gone(node, sender.receiver)
        else this.#sendAgain(node, sender)
      }
      if (this.#senders.size > 0) this.#tick()
    })
  }
}
