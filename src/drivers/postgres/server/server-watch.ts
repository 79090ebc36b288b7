/**
 * What the driver knows without asking: kept up to date by looking at the server all the time, by its probe, and at once by
 * the end of its postmaster. Listeners are told of every change that matters to a decision.
 */
import type { InstanceReport } from '../../../core/model.ts'
import type { Cancel } from '../../../lib/clock.ts'
import { superviseLoop } from '../../../lib/supervised-loop.ts'
import { rotateLog } from '../../process/instance-logs.ts'
import { claimLocations, sharedLocations } from '../copy/tablespaces.ts'
import type { Replica } from '../replica.ts'
import { SlotCarrier } from '../slots/slot-carrier.ts'
import { ConfigComparison } from './config-comparison.ts'
import { look, type ServerLook } from './observe-server.ts'
import { PrimaryLiveness } from './primary-liveness.ts'
import { Probe, type Verdict } from './server-probe.ts'

/** One miss may be our own; two in a row are the server's. */
const MISSES = 2
/** Between two times that a standby listens for a sign of life of its primary. */
const LISTEN_EVERY_MS = 100
/** How often the size of the log file is checked, and whether the server could get to its files if it had to start now. */
const HOUSEKEEPING_EVERY_MS = 5_000
/** Between two comparisons with the config, which mostly need no question to the server. */
const COMPARE_EVERY_MS = 1_000
/** A look or a probe that failed while our own loop was this late proves nothing. */
const OWN_LAG_MS = 100

export interface WatchParts {
  readonly replica: Replica
  readonly probeEveryMs: number
  readonly probeTimeoutMs: number
  loopLagMs(): number
  /** After each look, so that a replica that has caught up can be let out of quarantine. */
  onSight(sight: ServerLook): void
  changed(): void
  /** No verb is under way. */
  isIdle(): boolean
  /** Does work that restarts a standby, in turn with the verbs. */
  restart(work: (signal: AbortSignal) => Promise<void>): Promise<void>
}

export class Watch {
  readonly #parts: WatchParts
  readonly #cancels: Cancel[] = []
  readonly #ear: PrimaryLiveness
  readonly #carrier: SlotCarrier
  readonly #comparison: ConfigComparison
  #misses = 0
  #looking: Promise<void> | undefined
  sight: ServerLook | null = null
  health: InstanceReport['health'] = 'unknown'
  note = ''
  hung = false
  healthSince: number
  #slots = ''

  constructor(parts: WatchParts) {
    this.#parts = parts
    this.#ear = new PrimaryLiveness(parts.replica)
    this.#comparison = new ConfigComparison(parts.replica)
    this.#carrier = new SlotCarrier(parts.replica, parts.restart, (note) => {
      if (note === this.#slots) return
      this.#slots = note
      parts.changed()
    })
    this.healthSince = this.#clock.mono()
  }

  get #clock() {
    return this.#parts.replica.parts.clock
  }

  /** Of the server that this one receives from; undefined when it receives from none. */
  get heardAgoMs(): number | undefined {
    return this.#ear.heardAgoMs
  }

  /** What there is to say about logical slots of users; empty: nothing. */
  get slots(): string {
    return this.#carrier.isUnknown ? 'logical slots: not compared with those of the primary yet' : this.#slots
  }

  start(): void {
    const { replica, probeEveryMs } = this.#parts
    this.#every(replica.parts.options.timing.watchEveryMs, 'looking at', () => this.lookNow())
    this.#every(probeEveryMs, 'probing', () => this.#probe())
    this.#every(25, 'looking whether a signal stopped', () => this.#seeFrozen())
    this.#every(LISTEN_EVERY_MS, 'listening to the primary of', () => this.#listen())
    this.#every(HOUSEKEEPING_EVERY_MS, 'rotating the log of', () => this.#keepLogSmall())
    this.#every(HOUSEKEEPING_EVERY_MS, 'checking the folders of', () => this.#openTheWay())
    this.#every(LISTEN_EVERY_MS, 'looking at the tablespaces of', () => this.#leaveShared())
    this.#every(COMPARE_EVERY_MS, 'comparing the settings of', async () => {
      if (this.#parts.isIdle()) await this.compare()
    })
    this.#carrier.start()
  }

  /** Of a server that was taken over: all that is reported of it is known when this resolves, if it answers. */
  async takeOver(): Promise<void> {
    await this.lookNow()
    await this.#probe()
    await this.compare()
  }

  async compare(): Promise<void> {
    const { replica, changed } = this.#parts
    const before = replica.outdated?.why
    try {
      await this.#comparison.look()
    } catch {
      // It does not answer; what was found last stands.
    }
    if (replica.outdated?.why !== before) changed()
  }

  stop(): void {
    this.#carrier.stop()
    for (const cancel of this.#cancels.splice(0)) cancel()
  }

  /** Set by a verb that knows better than the next probe: a start, an end. */
  feel(health: InstanceReport['health'], note: string): void {
    if (health === this.health && note === this.note) return
    if (health !== this.health) this.healthSince = this.#clock.mono()
    this.health = health
    this.note = note
    this.#parts.changed()
  }

  forget(): void {
    this.#ear.forget()
    this.#probing = undefined
    this.sight = null
    this.hung = false
    this.#misses = 0
  }

  lookNow(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined
    })
    return this.#looking
  }

  async #look(): Promise<void> {
    const { replica } = this.#parts
    if (!replica.runs) return
    try {
      await replica.takeBack()
      const before = this.sight
      const sight = await look(replica)
      if (!replica.runs) return
      this.sight = sight
      this.#parts.onSight(sight)
      if (differs(before, sight)) this.#parts.changed()
    } catch {
      // It does not answer; the probe judges that. What was seen last stays true of the moment it was seen.
    }
  }

  async #listen(): Promise<void> {
    try {
      await this.#ear.listen()
    } catch {
      // This server does not answer: it says nothing about the other one, and what was heard last grows old.
    }
  }

  #probing: Probe | undefined
  async #probe(): Promise<void> {
    const { replica, probeTimeoutMs, loopLagMs } = this.#parts
    if (!replica.runs) return
    const loss = replica.parts.folder.loss(replica.postmaster?.identity.pid)
    if (loss !== null) return this.feel('unhealthy', loss)
    if (replica.entry === 'closed') return
    this.#probing ??= new Probe(replica)
    const probing = this.#probing
    const verdict: Verdict = await probing.run(probeTimeoutMs)
    if (!replica.runs || this.hung || this.#probing !== probing) return
    if (!verdict.healthy && loopLagMs() > OWN_LAG_MS) return
    if (verdict.damaged) replica.run.damaged = true
    // Until its first good answer it replays what it needs to be consistent, however long that takes: ending it for
    // that would make it begin again, and so for ever. The same for a standby that has much to replay later.
    const mayWait = this.health === 'unknown' || replica.record.leading === null
    if (verdict.starting && mayWait) return this.feel('unknown', verdict.note)
    this.#misses = verdict.healthy ? 0 : this.#misses + 1
    const unfit = this.sight?.unfit
    if (verdict.healthy && unfit) this.feel('unhealthy', unfit.why)
    else if (verdict.healthy) this.feel('healthy', verdict.note)
    else if (this.#misses >= MISSES) this.feel('unhealthy', verdict.note)
  }

  async #keepLogSmall(): Promise<void> {
    const { folder, options } = this.#parts.replica.parts
    const { logMb, logFiles } = options.limits
    await rotateLog(folder.logPath, logMb * 1_048_576, logFiles).catch(() => {}) // a full disk: the next look tries again
  }

  #openTheWay(): void {
    const { folder, tell } = this.#parts.replica.parts
    const mended = folder.openTheWay()
    if (mended.length > 0)
      tell(`the rights of ${mended.join(', ')} were put right: the server could not have been started`)
  }

  /** A standby must not write to the folder that its primary writes to: it is copied anew, with folders of its own. */
  async #leaveShared(): Promise<void> {
    const { replica } = this.#parts
    const { folder, record } = replica.parts
    try {
      if (!replica.runs) return
      if (record.now.leading) return claimLocations(folder)
      const [shared] = sharedLocations(folder, record.now.following?.primary.host ?? '')
      if (shared === undefined) return
      record.change({ torn: true })
      const what = `the primary on this machine uses its tablespace folder ${shared}, too`
      await replica.end(
        'immediate',
        200,
        `${what}: it is copied anew. On one machine create tablespaces with location ''`,
      )
    } catch {
      // The data folder has gone, or its disk fails: other checks say so.
    }
  }

  #seeFrozen(): void {
    const { replica } = this.#parts
    const frozen = replica.runs && replica.postmaster?.isFrozen === true
    if (frozen === this.hung) return
    this.hung = frozen
    if (frozen) this.feel('unhealthy', 'stopped by a signal (SIGSTOP)')
    else this.#parts.changed()
  }

  #every(everyMs: number, what: string, work: () => void | Promise<void>): void {
    this.#cancels.push(
      superviseLoop({ clock: this.#clock, what: `${what} a database`, everyMs, firstMs: 0, work }).stop,
    )
  }
}

function differs(a: ServerLook | null, b: ServerLook): boolean {
  if (a === null) return true
  const nodes = (sight: ServerLook) => sight.streaming.map(({ node }) => node).join(' ')
  return (
    a.inRecovery !== b.inRecovery ||
    a.receives !== b.receives ||
    nodes(a) !== nodes(b) ||
    a.quorum?.id !== b.quorum?.id ||
    a.unfit?.why !== b.unfit?.why
  )
}
