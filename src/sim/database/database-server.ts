/**
 * One simulated database server: the processes of one node, which go on whatever becomes of the agent. Exact where a
 * failover depends on it:
 *
 * - A process applies a reload when it gets to it. Replay that is paused or blocked does not get to it, and then a
 *   receiver goes on under settings that are no longer in the files (trap 1).
 * - A receiver that ends writes down what it has, without telling the primary (trap 3); after a start nothing counts as
 *   received until something was (trap 18).
 * - A commit waits for its quorum only in memory: cancelled, or after a restart, it is simply there (traps 8 and 9).
 * - A promotion replays everything first. Timelines are numbered from what is here, so two can have one number (trap
 *   20).
 *
 * startup-process.ts brings WAL to a standby, receiver.ts is the receiving end, senders.ts the sending one;
 * database-driver.ts moves all of it as an agent would.
 */
import type { NodeName, ServiceName, ServiceSpec } from '../../core/model.ts'
import type { QuorumConfig } from '../../core/replicated/quorum-config.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Random } from '../../lib/random.ts'
import type { Stop } from '../../lib/stop.ts'
import { Gate } from '../gate.ts'
import type { Network } from '../network.ts'
import type { Process, Processes } from '../sim-processes.ts'
import { type Disk, FLUSH_MS, NO_AILMENTS } from './disk.ts'
import type { Ledger } from './ledger.ts'
import type { Receiver } from './receiver.ts'
import { Replay } from './replay.ts'
import { Senders, type Waited } from './senders.ts'
import { Startup } from './startup-process.ts'
import type { Entry } from './wal-model.ts'

export interface ServerParts {
  readonly service: ServiceName
  readonly node: NodeName
  readonly disk: Disk
  readonly clock: Clock
  readonly random: Random
  readonly network: Network
  readonly processes: Processes
  readonly ledger: Ledger
  /** The same service's server on another node. */
  peer(node: NodeName): DatabaseServer | undefined
}

const SHUTDOWN_TICK_MS = 5
const SLOW_CHECKPOINT_MS = 1_500
const HASTY_MS = 150

export class DatabaseServer {
  readonly parts: ServerParts
  readonly replay: Replay
  readonly senders: Senders
  readonly startup: Startup
  receiver: Receiver | null = null
  process: Process | null = null
  /** What the next one is started from. */
  version: ServiceSpec | null = null
  inRecovery = true
  /** The quorum setting as the running server has read it. */
  standbys: readonly NodeName[] = []
  k = 0
  /** Are clients admitted? Probes and quorum rows use another way. */
  open = false
  /** Clients may finish what they have begun, and begin nothing: it is about to end in order. */
  draining = false
  /** A client has begun a transaction and does not end it. */
  hasOpenTransaction = false
  /** The last checkpoint on the disk is of the timeline that it writes: until then a rewind looks at the old one (trap 21). */
  checkpointed = true
  /** How many were written since it started. */
  checkpoints = 0
  heedsArchive = false
  /** Received since the last start; null: nothing. */
  received: number | null = null
  /** Until then no commit waits for a quorum (trap 11). */
  #hastyUntil = 0
  gate: Gate
  #lostPower = false
  readonly #listeners = new Set<() => void>()

  constructor(parts: ServerParts) {
    this.parts = parts
    this.gate = new Gate(parts.clock)
    this.gate.kill()
    this.replay = new Replay(this)
    this.senders = new Senders(this)
    this.startup = new Startup(this)
    parts.processes.onChange((process) => this.#processChanged(process))
  }

  get disk(): Disk {
    return this.parts.disk
  }

  get runs(): boolean {
    return this.process !== null
  }

  /** Its host is there and nothing listens: a connection is refused at once. A host without power says nothing. */
  get refusesConnections(): boolean {
    return !this.runs && !this.#lostPower
  }

  get isFrozen(): boolean {
    return this.process?.frozen ?? false
  }

  get isHasty(): boolean {
    return this.#hastyUntil > this.parts.clock.mono()
  }

  get lastTerm(): number {
    return this.disk.log.at(-1)?.term ?? 0
  }

  /** Told of whatever a driver would want to look at; it looks some time later. */
  onChange(listener: () => void): Stop {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  changed(): void {
    for (const listener of [...this.#listeners]) listener()
  }

  /**
   * Starts with the settings that are in the files: in recovery when the signal file is there. `heedsArchive`: a restore_command in
   * the files holds, because none stands on the command line.
   */
  launch(process: Process, { heedsArchive }: { readonly heedsArchive: boolean }): void {
    const { settings, standbySignal } = this.disk
    this.process = process
    this.#lostPower = false
    this.heedsArchive = heedsArchive
    this.gate = new Gate(this.parts.clock)
    this.open = false
    this.received = null
    this.checkpointed = true
    this.checkpoints = 0
    this.inRecovery = standbySignal
    const isHasty = this.disk.ailments.hastyStart && !standbySignal
    this.#hastyUntil = isHasty ? this.parts.clock.mono() + HASTY_MS * this.parts.random() : 0
    ;[this.standbys, this.k] = [settings.standbys, settings.k]
    this.replay.begin()
    if (this.disk.full) return this.parts.processes.crash(process, 'PANIC: no space left on device')
    if (!standbySignal) this.replay.finish()
    this.startup.begin()
    this.changed()
  }

  /** Files changed: each part of the server takes note when it gets to it. */
  reload(): void {
    this.gate.deliver(() => {
      ;[this.standbys, this.k] = [this.disk.settings.standbys, this.disk.settings.k]
      this.senders.release()
      this.replay.whenIdle(() => {
        if (this.receiver && this.receiver.from !== this.disk.settings.receiveFrom) this.receiver.terminate()
        this.startup.heedSettings()
      })
    })
  }

  /** End of recovery: all that is here is replayed first. */
  promote(quorum: QuorumConfig): void {
    this.gate.deliver(() =>
      this.replay.whenExhausted(() => {
        if (!this.inRecovery) return
        this.parts.ledger.promoted(this.parts.node, this.disk)
        this.receiver?.terminate()
        this.inRecovery = false
        this.checkpointed = false
        this.disk.standbySignal = false
        const timeline = (this.disk.log.at(-1)?.timeline ?? 0) + 1
        this.append({ term: quorum.term, promotion: quorum.id, timeline, kind: 'begin' })
        if (this.process) this.parts.processes.promote(this.process, quorum.term)
        this.changed()
      }),
    )
  }

  checkpoint(): void {
    const extraMs = this.disk.ailments.slowCheckpoint ? SLOW_CHECKPOINT_MS * this.parts.random() : 0
    this.gate.after(5 + 20 * this.parts.random() + extraMs, () => {
      this.checkpointed = true
      this.checkpoints += 1
      this.#hastyUntil = 0 // this process tells the others which standbys to wait for
      this.disk.checkpoint = this.disk.log.length
    })
  }

  /**
   * A client writes. `done` is called when the quorum has it, and never when that does not happen. `hastily`: the
   * client asked to be answered before any standby has it (trap 12).
   */
  write(done: (entry: Entry) => void, hastily = false): void {
    this.gate.deliver(() => {
      if (!this.open || this.draining || this.inRecovery || !this.runs) return
      const entry = this.#next('write')
      if (entry && hastily) done(entry)
      else if (entry) this.senders.await(entry, (how) => how === 'acknowledged' && done(entry))
    })
  }

  /** The quorum row, written before clients are admitted. */
  writeQuorumRow(quorum: QuorumConfig, done: (how: Waited, entry: Entry) => void): void {
    this.gate.deliver(() => {
      if (this.inRecovery || !this.runs) return
      const entry = this.#next('quorum-row', quorum)
      if (entry) this.senders.await(entry, (how) => done(how, entry))
    })
  }

  /** So much is written that only WAL is left that standbys which keep up have too (trap 23). */
  loseLog(): void {
    if (!this.runs) return
    const { disk } = this
    disk.keptFrom = Math.max(disk.keptFrom, this.senders.letGoBehind(this.replay.replayed))
    disk.checkpoint = Math.max(disk.checkpoint, disk.keptFrom)
  }

  /** Takes back whatever went wrong with it. */
  heal(): void {
    const { disk } = this
    this.hasOpenTransaction = false
    this.replay.heal()
    Object.assign(disk, { full: false, flushMs: FLUSH_MS })
    disk.settings.restoreFrom = []
    Object.assign(disk.ailments, NO_AILMENTS)
  }

  /** Ends in order: standbys get all that is here first, for as long as `withinMs`. */
  shutDown(withinMs: number, ending: string): void {
    this.open = false
    const { clock, processes } = this.parts
    const until = clock.mono() + withinMs
    const look = () => {
      if (!this.process) return
      if (clock.mono() >= until || (this.inRecovery ? true : this.senders.haveAll()))
        return processes.crash(this.process, ending)
      this.gate.after(SHUTDOWN_TICK_MS, look)
    }
    look()
    const { process } = this
    clock.after(withinMs, () => process && processes.kill(process, ending)) // frozen ones do not look
  }

  append(of: Omit<Entry, 'index'>): Entry {
    const entry: Entry = { index: this.disk.log.length, ...of }
    this.disk.log.push(entry)
    this.senders.pump()
    return entry
  }

  #next(kind: 'write' | 'quorum-row', quorum?: QuorumConfig): Entry | null {
    const last = this.disk.log.at(-1)
    const { process } = this
    if (!last || !process) return null
    if (this.disk.full) {
      this.parts.processes.crash(process, 'PANIC: no space left on device')
      return null
    }
    const { term, promotion, timeline } = last
    return this.append({ term, promotion, timeline, kind, ...(quorum && { quorum }) })
  }

  #processChanged(process: Process): void {
    if (process !== this.process) return
    if (process.phase === 'dead') this.#ended(process)
    else if (process.frozen) this.gate.freeze()
    else this.gate.thaw()
    this.changed()
  }

  #ended(process: Process): void {
    this.#lostPower = process.ending === 'its node died'
    this.receiver?.die(!this.#lostPower)
    this.receiver = null
    this.senders.end(!this.#lostPower)
    this.gate.kill()
    this.process = null
    this.open = false
    this.draining = false
    this.hasOpenTransaction = false
  }
}
