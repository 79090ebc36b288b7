/**
 * The startup process of a simulated standby, as far as it brings WAL: from an archive, where a restore_command reads
 * one, and by asking for a receiver. Between the question and the start of the receiver settings may change, and only a
 * startup process that is not busy, paused or blocked takes back what it has asked for (trap 2).
 */
import type { NodeName } from '../../core/model.ts'
import type { Gate } from '../gate.ts'
import type { DatabaseServer } from './database-server.ts'
import { Receiver } from './receiver.ts'
import { continuation } from './wal-model.ts'

const LOOK_EVERY_MS = 50
const LATE_RECEIVER_MS = 300

export class Startup {
  readonly #server: DatabaseServer
  #asked: { readonly from: NodeName } | null = null
  /** In which lives of the server it looks already. */
  readonly #looking = new WeakSet<Gate>()

  constructor(server: DatabaseServer) {
    this.#server = server
  }

  /** For a receiver that has not begun. */
  get isAsking(): boolean {
    return this.#asked !== null
  }

  /** The server starts. */
  begin(): void {
    this.#asked = null
    this.#lookOn()
  }

  /** It has read the files again. */
  heedSettings(): void {
    if (this.#asked?.from !== this.#server.disk.settings.receiveFrom) this.#asked = null
    this.#lookOn()
  }

  #lookOn(): void {
    const { gate } = this.#server
    const look = () => {
      if (!this.#server.inRecovery || !this.#server.runs || gate !== this.#server.gate) return
      this.#look()
      gate.after(LOOK_EVERY_MS, look)
    }
    if (!this.#looking.has(gate)) look()
    this.#looking.add(gate)
  }

  /** Sees to it that there is a receiver when there should be one. */
  #look(): void {
    const { receiver, replay, disk } = this.#server
    if (receiver || this.#asked || !replay.isExhausted) return
    this.#restore()
    if (disk.settings.receiveFrom !== null) this.#ask(disk.settings.receiveFrom)
  }

  /**
   * Where no stream brings WAL, an archive may: whatever continues what is here, the oldest branch before any other
   * (trap 5).
   */
  #restore(): void {
    const { disk, parts, heedsArchive } = this.#server
    const { restoreFrom } = disk.settings
    if (!heedsArchive || restoreFrom.length === 0) return
    const archived = restoreFrom.flatMap((node) => parts.peer(node)?.disk ?? [])
    disk.log.push(...continuation(disk.log, archived))
  }

  #ask(from: NodeName): void {
    const { disk, gate, parts } = this.#server
    const asked = { from }
    this.#asked = asked
    const begin = () => {
      if (this.#asked !== asked) return
      this.#asked = null
      const server = this.#server
      if (server.inRecovery && !server.receiver && server.disk.key === from)
        server.receiver = new Receiver(server, from)
    }
    if (disk.ailments.lateReceiver) gate.after(LATE_RECEIVER_MS * parts.random(), begin)
    else begin()
  }
}
