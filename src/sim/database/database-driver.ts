/**
 * The driver of a made-up database: keeps the contract of the port as the driver of PostgreSQL does, on database-server.ts. What it
 * knows comes from looks that are some milliseconds old; what must outlive the agent is in the record on the node's disk.
 */

import { isAsBefore } from '../../agent/report-news.ts'
import type { InstanceReport, ServiceSpec, Term } from '../../core/model.ts'
import { sameConfig } from '../../core/replicated/quorum.ts'
import type { Position, QuorumConfig, ReplicaReport } from '../../core/replicated/quorum-config.ts'
import type { KeepingDriver, StartRequest } from '../../drivers/driver.ts'
import { refusal } from '../../drivers/driver-refusal.ts'
import type { PrimaryAddress, ReplicaDriver } from '../../drivers/replica-driver.ts'
import { restartWaitMs } from '../../drivers/restart-backoff.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Random } from '../../lib/random.ts'
import type { Stop } from '../../lib/stop.ts'
import type { Gate } from '../gate.ts'
import { outdatedSince } from '../made-up-version.ts'
import type { DatabaseServer } from './database-server.ts'
import { mayReceive } from './disk.ts'
import { Verb } from './driver-verbs.ts'
import { follow } from './follow-primary.ts'
import { changeQuorum, create, promoteReplica, startStandby } from './promote-replica.ts'
import { QuorumRows } from './quorum-rows.ts'
import { drain, leadsStill, pledge, recruit } from './recruit-replica.ts'
import { ENTRY_BYTES, lookAt, type ServerLook } from './server-look.ts'

export interface DatabaseDriverParts {
  readonly service: ServiceSpec
  readonly server: DatabaseServer
  readonly port: number
  readonly gate: Gate
  /** The node's, through the gate. */
  readonly clock: Clock
  readonly random: Random
  /** The data of this service on this node is moved away: the next driver finds none. */
  setAside(): void
}

const LOOK_EVERY_MS = 100
const NOTICE_MS = 15
const DEMOTE_WITHIN_MS = 400
const FORGIVEN_AFTER_MS = 2_000

export class DatabaseDriver implements ReplicaDriver, KeepingDriver {
  readonly #parts: DatabaseDriverParts
  readonly #listeners = new Set<() => void>()
  #verb: Verb | null = null
  #state: InstanceReport['state'] = 'stopped'
  #stateSince: number
  #health: InstanceReport['health'] = 'unknown'
  #healthSince: number
  #note = ''
  #failures = 0
  #retryAt = 0
  #sight: ServerLook | null = null
  /** Undefined: not recruited. Null: recruited, without data. */
  #recruited: Position | null | undefined
  readonly #quorumRows: QuorumRows
  #asked = false
  /** What runs here, or ran last, was started from. */
  #startedFrom: ServiceSpec | null = null
  #told: InstanceReport | null = null
  #unwatch: Stop = () => undefined
  #isClosed = false

  constructor(parts: DatabaseDriverParts) {
    this.#parts = parts
    this.#stateSince = parts.clock.mono()
    parts.server.version = parts.service
    this.#healthSince = this.#stateSince
    this.#quorumRows = new QuorumRows(parts.server, parts.gate, () => this.#look())
  }

  observe(): InstanceReport {
    const { clock, service, server, port } = this.#parts
    const outdated = outdatedSince(server.process?.spec ?? null, service)
    const { leading } = server.disk.record
    const now = clock.mono()
    const running = this.#state === 'running' || this.#state === 'stopping'
    const leads = running && this.#sight?.inRecovery === false
    const process = running ? server.process : null
    return {
      service: service.name,
      role: !running ? 'none' : leads ? 'primary' : 'standby',
      state: this.#state,
      health: running ? this.#health : 'unknown',
      note: this.#note,
      healthForMs: now - this.#healthSince,
      stateForMs: now - this.#stateSince,
      hung: running && server.isFrozen && this.#health === 'unhealthy',
      term: leads || !running ? (leading?.term ?? 0) : 0,
      failures: this.#failures,
      retryInMs: running ? 0 : Math.max(0, this.#retryAt - now),
      ...(process && outdated && { outdated }),
      ...(process && { pid: process.identity.pid, startTime: process.identity.startTime }),
      port,
      replica: this.#replica(leads),
    }
  }

  #replica(leads: boolean): ReplicaReport {
    const { server } = this.#parts
    const { pledged, following, leading, quarantinedUntil, suspect } = server.disk.record
    const sight = this.#sight
    // Elected, and not promoted before its server or agent ended: it has received nothing since it was recruited.
    const isElected = leading !== null && sight?.inRecovery === true && !sight.receives
    return {
      pledged,
      recruited: this.#recruited !== undefined || isElected,
      position: this.#recruited !== undefined ? this.#recruited : (sight?.position ?? null),
      replayLagBytes: (sight?.replayLag ?? 0) * ENTRY_BYTES,
      // In force and durable: in the middle of a change one of the two may be ahead, and then neither is told.
      quorum: leads && sameConfig(leading, this.#quorumRows.durable) ? leading : null,
      // What this driver was told itself, as PostgreSQL's: a server that has just ended is not yet seen to have.
      quorumDurable: leads && leading !== null && this.#quorumRows.durable?.term === leading.term,
      streaming: leads ? (sight?.streaming ?? []) : [],
      receivingFrom: sight?.receives && mayReceive(server.disk.record) ? (following?.node ?? null) : null,
      ...(sight?.receives && server.receiver ? { heardAgoMs: server.receiver.heardAgoMs } : {}),
      quarantined: quarantinedUntil !== null,
      diverged: suspect,
    }
  }

  create(quorum: QuorumConfig): Promise<void> {
    return this.#do('starting', async (verb) => {
      await create(verb, quorum)
      this.#quorumRows.begin(quorum)
    })
  }

  start({ role, term }: StartRequest): Promise<void> {
    return this.#do('starting', async (verb) => {
      const { leading, pledged } = verb.record
      if (role !== 'primary') {
        if (leading !== null) throw refusal(`it led in term ${leading.term}`)
        return startStandby(verb)
      }
      if (leading?.term !== term || pledged > term) throw refusal(`it was not the primary of term ${term}`)
      await promoteReplica(verb, leading)
      await this.#quorumRows.untilDurable(verb, leading)
    })
  }

  promote(term: Term): Promise<void> {
    return Promise.reject(
      refusal(`a replicated service is promoted by a QuorumConfig: recruit(${term}), then promoteReplica(quorum)`),
    )
  }

  follow(quorum: QuorumConfig, { node }: PrimaryAddress): Promise<void> {
    return this.#do('starting', async (verb) => {
      if (node === this.#parts.server.parts.node) throw refusal('a replica cannot follow itself')
      this.#recruited = undefined
      this.#quorumRows.stop()
      await follow(verb, quorum)
    })
  }

  recruit(term: Term): Promise<void> {
    return this.#do('starting', async (verb) => {
      this.#recruited = undefined
      this.#quorumRows.stop()
      this.#recruited = await recruit(verb, term)
      const { ledger, node } = verb.server.parts
      ledger.recruited(node, term, leadsStill(verb))
    })
  }

  promoteReplica(quorum: QuorumConfig): Promise<void> {
    return this.#do('starting', async (verb) => {
      await promoteReplica(verb, quorum)
      this.#recruited = undefined
      await this.#quorumRows.untilDurable(verb, quorum)
    })
  }

  changeQuorum(quorum: QuorumConfig): Promise<void> {
    return this.#do('starting', async (verb) => {
      await changeQuorum(verb, quorum)
      await this.#quorumRows.untilDurable(verb, quorum)
    })
  }

  demote(term: Term): Promise<void> {
    return this.#do('stopping', async (verb) => {
      if (verb.server.runs && verb.record.leading !== null) {
        await drain(verb)
        this.#enter('stopping')
        this.#look() // sessions leave from here on
      }
      this.#quorumRows.stop()
      this.#asked = true
      this.#recruited = undefined
      const led = pledge(verb, term)
      if (led || leadsStill(verb)) await verb.end('fast', DEMOTE_WITHIN_MS)
    })
  }

  stop({ graceMs }: { readonly settleMs: number; readonly graceMs: number }): Promise<void> {
    return this.#end('fast', graceMs / 10)
  }

  kill(): Promise<void> {
    return this.#end('immediate', 0)
  }

  #end(how: 'fast' | 'immediate', withinMs: number): Promise<void> {
    return this.#do('stopping', async (verb) => {
      this.#quorumRows.stop()
      this.#asked = true
      await verb.end(how, withinMs)
    })
  }

  async adopt(): Promise<void> {
    const { server, gate, random } = this.#parts
    this.#unwatch = server.onChange(() => gate.after(NOTICE_MS * random(), () => this.#look()))
    server.draining = false // an earlier agent may have died over it
    this.#look()
    this.#lookOn()
    if (!server.runs) return
    const { leading, pledged } = server.disk.record
    // It may have died between its pledge and the end of the receiver: the pledge is what holds.
    if (leading === null && pledged > 0 && !mayReceive(server.disk.record))
      await this.recruit(pledged).catch(() => undefined) // said again when the record still asks for it
    else if (leading !== null && !server.inRecovery) this.#quorumRows.begin(leading)
  }

  async retire(): Promise<string | undefined> {
    const { server, service, setAside } = this.#parts
    if (server.runs) throw refusal('it still runs')
    const { hasData } = server.disk
    setAside()
    if (hasData) return `the data of ${service.name} on ${server.parts.node} was set aside`
  }

  onChange(changed: () => void): Stop {
    this.#listeners.add(changed)
    return () => void this.#listeners.delete(changed)
  }

  /** Another driver takes over what runs. */
  readonly close = async (): Promise<void> => {
    this.#isClosed = true
    this.#quorumRows.stop()
    this.letGo()
  }

  letGo(): void {
    this.#unwatch()
  }

  /** What is under way is called off: the agent says the next verb only when that is what should happen. */
  async #do(state: 'starting' | 'stopping', work: (verb: Verb) => Promise<void>): Promise<void> {
    const { server, clock, gate, random } = this.#parts
    if (this.#verb) this.#verb.isOff = true
    const verb = new Verb({ server, clock, gate, random })
    this.#verb = verb
    if (state === 'starting') this.#asked = false
    if (!server.runs && state === 'starting') this.#enter('starting')
    try {
      await work(verb)
    } catch (error) {
      if (!verb.isOff) this.#note = String((error as Error).message)
      throw error
    } finally {
      if (this.#verb === verb) {
        this.#verb = null
        this.#look()
      }
    }
  }

  #lookOn(): void {
    this.#parts.clock.after(LOOK_EVERY_MS, () => {
      if (this.#isClosed) return
      this.#look()
      this.#lookOn()
    })
  }

  #look(): void {
    const { server } = this.#parts
    if (this.#isClosed) return
    if (server.process) this.#startedFrom = server.process.spec
    if (!server.runs) this.#seeEnd()
    else {
      // Also in the middle of a verb: what its server says of itself is known as soon as it runs.
      if (this.#verb === null || this.#state !== 'stopping') this.#enter('running')
      if (!server.isFrozen) this.#see()
      this.#judge()
    }
    const facts = this.observe()
    if (this.#told && isAsBefore(this.#told, facts)) return
    this.#told = facts
    for (const listener of [...this.#listeners]) listener()
  }

  #see(): void {
    const { server } = this.#parts
    const { disk, replay } = server
    this.#sight = lookAt(server)
    const { quarantinedUntil } = disk.record
    if (quarantinedUntil !== null && this.#sight.receives && replay.replayed >= quarantinedUntil)
      Object.assign(disk, { record: { ...disk.record, quarantinedUntil: null }, wasSound: true })
  }

  #seeEnd(): void {
    if (this.#state === 'stopped' || (this.#state === 'starting' && this.#verb !== null)) return
    const { clock, random, service } = this.#parts
    this.#quorumRows.forget()
    this.#sight = null
    this.#recruited = this.#recruited === null ? null : undefined
    // What another version did does not count against the next one.
    if (!this.#asked && outdatedSince(this.#startedFrom, service)) this.#note = 'ended by itself'
    else if (!this.#asked) {
      this.#failures += 1
      this.#retryAt = clock.mono() + restartWaitMs(this.#failures, random)
      this.#note = 'ended by itself'
    } else if (this.#state === 'stopping') this.#note = ''
    this.#feel('unknown')
    this.#enter('stopped')
  }

  /** A write that is committed through a fresh connection, or on a standby a read: done here by looking at the effect. */
  #judge(): void {
    const { server, service, clock } = this.#parts
    const { processes } = server.parts
    const isFlawed = server.process !== null && processes.isFlawed(server.process)
    const unhealthy = processes.habitsOf(service.name).unhealthy || isFlawed
    const waits = server.senders.waitsForMs > service.timing.probeTimeoutMs
    if (server.isFrozen) this.#feel('unhealthy', 'stopped by a signal (SIGSTOP)')
    else if (unhealthy) this.#feel('unhealthy', 'the probe does not come back')
    else if (waits) this.#feel('unhealthy', 'commits blocked on synchronous replication')
    else this.#feel('healthy')
    if (this.#health === 'healthy' && clock.mono() - this.#healthSince > FORGIVEN_AFTER_MS) this.#failures = 0
  }

  #feel(health: InstanceReport['health'], note?: string): void {
    if (health !== this.#health) this.#healthSince = this.#parts.clock.mono()
    this.#health = health
    if (note !== undefined) this.#note = note
    else if (health === 'healthy') this.#note = ''
  }

  #enter(state: InstanceReport['state']): void {
    if (state === this.#state) return
    this.#state = state
    this.#stateSince = this.#parts.clock.mono()
  }
}
