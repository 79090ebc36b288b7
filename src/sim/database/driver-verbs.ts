/** What the verbs of the made-up driver share: waiting, starting, ending and asking a server that is somewhere else. */
import type { NodeName } from '../../core/model.ts'
import type { Position } from '../../core/replicated/quorum-config.ts'
import { refusal } from '../../drivers/driver-refusal.ts'
import { UnderstudyError } from '../../errors.ts'
import { assert } from '../../lib/assert.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Random } from '../../lib/random.ts'
import type { Gate } from '../gate.ts'
import type { DatabaseServer } from './database-server.ts'
import type { Disk, DurableRecord } from './disk.ts'
import { positionAt } from './wal-model.ts'

const POLL_MS = { first: 2, most: 20 }
const FORK_MS = 3
const ANSWERS_AFTER_MS = 30
const ANSWER_WITHIN_MS = 500
export const FENCE_WITHIN_MS = 1_000
export const START_WITHIN_MS = 3_000

/** One verb under way: it is called off through `isOff`, and never goes on when its agent is dead. */
export class Verb {
  readonly server: DatabaseServer
  readonly #clock: Clock
  readonly #gate: Gate
  readonly random: Random
  isOff = false

  constructor(parts: { server: DatabaseServer; clock: Clock; gate: Gate; random: Random }) {
    this.server = parts.server
    this.#clock = parts.clock
    this.#gate = parts.gate
    this.random = parts.random
  }

  get disk(): Disk {
    return this.server.disk
  }

  get record(): DurableRecord {
    return this.disk.record
  }

  /** On the disk when it returns. */
  note(change: Partial<DurableRecord>): void {
    this.disk.record = { ...this.disk.record, ...change }
  }

  async pass(ms: number): Promise<void> {
    await new Promise<void>((resolve) => this.#clock.after(ms * (0.5 + this.random()), resolve))
    if (this.isOff) throw refusal('called off by something more urgent')
  }

  async until(what: string, withinMs: number, is: () => boolean): Promise<void> {
    const began = this.#clock.mono()
    while (!is()) {
      const waitedMs = this.#clock.mono() - began
      if (waitedMs >= withinMs) throw new UnderstudyError('UND_TIMED_OUT', `${what} took too long`)
      await this.pass(Math.min(POLL_MS.most, Math.max(POLL_MS.first, waitedMs / 10)))
    }
  }

  /** A question to another node's server, there and back. */
  async ask<T>(node: NodeName, question: (server: DatabaseServer) => T): Promise<T> {
    const { network, peer, node: self, clock } = this.server.parts
    const answer = await this.#gate.promise<T>((resolve, reject) => {
      clock.after(ANSWER_WITHIN_MS, () => reject(refusal(`no answer from ${node}`)))
      network.converse(self, node, () => {
        const other = peer(node)
        other?.gate.deliver(() => {
          try {
            const said = question(other)
            network.converse(node, self, () => resolve(said))
          } catch (error) {
            network.converse(node, self, () => reject(error as Error))
          }
        })
      })
    })
    if (this.isOff) throw refusal('called off by something more urgent')
    return answer
  }

  /** Again and again: a server that is about to be there does not answer yet. */
  async askPatiently<T>(node: NodeName, withinMs: number, question: (server: DatabaseServer) => T): Promise<T> {
    const began = this.#clock.mono()
    for (;;) {
      try {
        return await this.ask(node, question)
      } catch (error) {
        if (this.isOff || this.#clock.mono() - began >= withinMs) throw error
        await this.pass(POLL_MS.most)
      }
    }
  }

  async launch(): Promise<void> {
    const { processes, service } = this.server.parts
    if (this.server.runs) return
    await this.pass(FORK_MS)
    if (processes.habitsOf(service).refused) throw refusal('not started: the binary is missing')
    if (this.server.runs) return
    const leads = !this.disk.standbySignal
    const { version } = this.server
    assert(version, 'a driver says what its server is started from')
    const process = processes.spawn(version, leads ? 'primary' : 'standby', leads ? this.server.lastTerm : 0)
    processes.open(process)
    this.server.launch(process, { heedsArchive: false })
    await this.pass(ANSWERS_AFTER_MS)
    if (!this.server.runs) throw refusal('the server ended while it started')
  }

  /** Nothing is left of it afterwards. */
  async end(how: 'fast' | 'immediate', withinMs: number): Promise<void> {
    const { process } = this.server
    if (!process) return
    if (how === 'fast' && !process.frozen) this.server.shutDown(withinMs, 'shut down')
    else this.server.parts.processes.kill(process, 'ended at once')
    while (this.server.process === process) await this.pass(POLL_MS.first)
  }

  /** Ends the receiver and everything that could start another: true when nothing can be received any more. */
  async stopReceiving(): Promise<void> {
    this.disk.settings.receiveFrom = null
    this.server.reload()
    let empty = 0
    await this.until('the end of the receiver', FENCE_WITHIN_MS, () => {
      this.server.receiver?.terminate()
      empty = this.server.receiver ? 0 : empty + 1
      return empty >= 2
    })
  }

  /** A replica that was restarted first replays all that it has: until then it does not know its position (trap 18). */
  async settledLength(): Promise<number> {
    const { server } = this
    server.replay.resume()
    await this.until('replay of all that is here', FENCE_WITHIN_MS, () => {
      if (server.received === null && !server.replay.isExhausted) return false
      return !server.isFrozen
    })
    return Math.max(server.received ?? 0, server.replay.replayed)
  }

  async settledPosition(): Promise<Position | null> {
    return positionAt(this.disk.log, await this.settledLength())
  }
}
