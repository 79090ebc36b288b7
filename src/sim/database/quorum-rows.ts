/**
 * The quorum rows. When a row is on its quorum, the config is durable and clients may be admitted: the row's return
 * proves that the quorum works, and that it has everything before the row (trap 9).
 */
import { sameConfig } from '../../core/replicated/quorum.ts'
import type { QuorumConfig } from '../../core/replicated/quorum-config.ts'
import type { Gate } from '../gate.ts'
import type { Process } from '../sim-processes.ts'
import type { DatabaseServer } from './database-server.ts'
import type { Verb } from './driver-verbs.ts'
import type { Waited } from './senders.ts'
import type { Entry } from './wal-model.ts'

const ROW_WITHIN_MS = 1_000
const SEEN_EVERY_MS = 10

export class QuorumRows {
  readonly #server: DatabaseServer
  readonly #gate: Gate
  readonly #changed: () => void
  #writing: QuorumConfig | null = null
  /** A row that waited on a server that has ended since waits for ever. */
  #writtenOn: Process | null = null
  /** The newest config whose row is on its quorum. */
  durable: QuorumConfig | null = null

  constructor(server: DatabaseServer, gate: Gate, changed: () => void) {
    this.#server = server
    this.#gate = gate
    this.#changed = changed
  }

  begin(quorum: QuorumConfig): void {
    const server = this.#server
    const { process } = server
    if (sameConfig(this.#writing, quorum) && this.#writtenOn === process) return
    this.#writing = quorum
    this.#writtenOn = process
    server.writeQuorumRow(quorum, (how, entry) => this.#gate.deliver(() => this.#returned(quorum, process, how, entry)))
    if (!server.checkpointed) server.checkpoint()
  }

  #returned(quorum: QuorumConfig, process: Process | null, how: Waited, entry: Entry): void {
    const server = this.#server
    if (this.#writing !== quorum || server.process !== process || !process) return
    // A commit that did not wait returns like one that did (trap 11): it counts when the standbys are seen to have it.
    if (how === 'acknowledged' && server.senders.confirmations(quorum.standbys, entry.index) < quorum.k)
      return void this.#gate.after(SEEN_EVERY_MS, () => this.#returned(quorum, process, how, entry))
    this.#writing = null
    if (how === 'cancelled') return this.begin(quorum) // the row is here, and perhaps nowhere else
    this.durable = quorum
    this.#open(quorum)
    this.#changed()
  }

  /** Begins, and goes on when that took too long: the caller is told, and asks again. */
  async untilDurable(verb: Verb, quorum: QuorumConfig): Promise<void> {
    const isDone = () => sameConfig(this.durable, quorum) && this.#server.open
    if (isDone()) return
    this.begin(quorum)
    await verb.until(`the quorum row of term ${quorum.term}`, ROW_WITHIN_MS, isDone)
  }

  stop(): void {
    this.#writing = null
  }

  /** The server has ended: its row is for the next one to write. */
  forget(): void {
    this.durable = null
    this.#writing = null
  }

  #open(quorum: QuorumConfig): void {
    const server = this.#server
    if (server.open || server.disk.record.leading === null) return
    server.open = true
    server.parts.ledger.open(server.parts.node, quorum.term, server.disk.log)
  }
}
