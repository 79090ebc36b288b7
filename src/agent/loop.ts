/**
 * observe → decide → act → tell, on every event and with every heartbeat. A turn is quick and never waits: steps run
 * beside it, and while one runs nothing new is begun for its service. What a step changed comes back as an event, and the
 * next turn sees it.
 */
import type { EventRecord, Receipt } from '../api/api-types.ts'
import type { Act } from '../core/choose.ts'
import type { ConfigSource } from '../core/config-record.ts'
import { type Decision, decide, isToldBy } from '../core/decide.ts'
import type { ClusterSpec, NodeName, ServiceName } from '../core/model.ts'
import type { ConfigRecord } from '../core/records.ts'
import type { Rule } from '../core/rule-names.ts'
import { sameStep } from '../core/step.ts'
import { LATE_MS } from '../core/suspicion.ts'
import { recordOf, type View } from '../core/view.ts'
import { UnderstudyError } from '../errors.ts'
import { guarded, inBackground } from '../lib/background.ts'
import { deepFreeze } from '../lib/deep-freeze.ts'
import { type Stop, StopStack } from '../lib/stop.ts'
import { superviseLoop } from '../lib/supervised-loop.ts'
import type { Snapshot } from '../stores/store.ts'
import type { Message, World } from './agent-ports.ts'
import { AgreedRecords } from './agreed-records.ts'
import { nextRecord, writeConfig } from './config-store.ts'
import { Journal } from './journal.ts'
import { adoptLeads } from './lead-adoption.ts'
import { Leads } from './leads.ts'
import { LiveConfig } from './live-config.ts'
import { LoopLag } from './loop-lag.ts'
import { type Observed, observe } from './observe-view.ts'
import { Peers } from './peers.ts'
import { Publisher } from './publish.ts'
import { Receipts } from './receipt-writer.ts'
import { RedundancyNews } from './redundancy-news.ts'
import { Steps, writesStore } from './steps-under-way.ts'
import { CALM_TURN_EVERY_MS, isIdle, TurnPace } from './turn-pace.ts'
import { startWriteProbe } from './write-probe.ts'

export interface AgentOptions {
  /** The config that is kept on this node's disk: acted on until the store says which one holds. */
  readonly config: ConfigRecord
  /** The text that it was compiled from, for the store's history; null: there is none. */
  readonly source?: ConfigSource | null
  readonly self: NodeName
  /** Identifies this start of the cluster: a wish to stop from an earlier one does not count. */
  readonly run: string
  readonly world: World
  /** Whether views are frozen all the way down, so that no finder can change one. Default true; it costs a tenth of a turn. */
  readonly freezes?: boolean
  /** How many instances may be starting on this node at a time (core/start-pace.ts). */
  startsAtOnce(cluster: ClusterSpec): number
  /** Whether each event is told, however often it is repeated: the simulator counts them. Default false. */
  readonly tellsEach?: boolean
  /** Called once, when nothing runs here any more and nothing should. */
  onExit(): void
}

export class Agent {
  readonly journal: Journal
  readonly #options: AgentOptions
  readonly #world: World
  readonly #agreed = new AgreedRecords()
  readonly #config: LiveConfig
  readonly #peers: Peers
  readonly #leads: Leads
  readonly #receipts: Receipts
  readonly #redundancy = new RedundancyNews()
  readonly #lag: LoopLag
  readonly #stops = new StopStack()
  readonly #steps: Steps
  readonly #telling: Publisher
  readonly #observed: Observed
  readonly #pace: TurnPace
  #view: View
  #decision: Decision = { problems: [], acts: [] }
  #running = false
  #counts = { turns: 0, stepsDone: 0, stepsFailed: 0 }
  #readAt = 0
  #isWritingConfig = false

  constructor(options: AgentOptions) {
    const { world, self, run } = options
    this.#config = new LiveConfig(options.config, run)
    const cluster = this.#config.cluster({ sizes: {}, wishes: {} })
    const now = world.clock.mono()
    this.#options = options
    this.#pace = new TurnPace(world.clock, () => this.#running && guarded('a turn', () => this.#turn()))
    this.#world = world
    this.#peers = new Peers(cluster, self, now)
    this.#lag = new LoopLag(cluster.timing.heartbeatMs, now)
    this.#leads = new Leads(world, self, this.#agreed, () => this.wake())
    this.#receipts = new Receipts(self, () => world.clock.wall())
    this.#telling = new Publisher(world, self)
    this.#steps = new Steps({
      clock: world.clock,
      hands: { world, leads: this.#leads, exit: () => options.onExit() },
      recheck: (act) => this.#recheck(act),
      done: (act, service, what) => this.#done(act, service, what),
      late: () => this.look(),
      failed: (act, service, error) => this.#failed(act, service, error),
      wake: () => this.wake(),
    })
    const publish = (event: EventRecord) => {
      world.remember('events', event)
      world.mesh.broadcast({ kind: 'event', event })
    }
    this.journal = new Journal(self, world.clock, publish, { tellsEach: options.tellsEach })
    const { startsAtOnce } = options
    const own = { agreed: this.#agreed, peers: this.#peers, leads: this.#leads, steps: this.#steps }
    this.#observed = { config: this.#config, self, run, world, startedAt: now, startsAtOnce, ...own }
    this.#view = this.#observe()
    // From now on, not from the start: a link may come up while the agent gets ready, and what is said on it is said once.
    const hears = world.mesh.onMessage((from, message) => this.#hear(from, message))
    const meets = world.mesh.onLink(() => this.#welcome())
    this.#stops.push('messages', hears)
    this.#stops.push('links', meets)
  }

  /** Begins to look and act. What runs already was adopted by the drivers before. */
  start(): void {
    const { clock, store, drivers } = this.#world
    this.#running = true
    const until = (name: string, stop: Stop) => this.#stops.push(name, stop)
    until('leads', () => this.#leads.close())
    const changed = (snapshot: Snapshot) => this.#storeChanged(() => this.#agreed.take(snapshot))
    const away = (error: Error) => this.#storeChanged(() => this.#agreed.away(error))
    until('watch', store.watch('', { changed, away }))
    const sees = drivers.onChange(() => this.wake())
    until('drivers', sees)
    const everyMs = () => this.#config.record.spec.timing.heartbeatMs
    const beats = superviseLoop({ clock, what: 'the heartbeat', everyMs, work: () => this.#beat() })
    until('heartbeat', beats.stop)
    const probes = startWriteProbe(clock, store, this.#agreed, () => this.wake())
    until('write probe', probes)
    this.journal.tell({
      service: null,
      rule: 'agent',
      kind: 'told',
      why: `the agent of ${this.#options.self} has started`,
    })
    this.#welcome()
    this.wake()
  }

  /** Stops deciding. Whatever runs goes on running, under the leases and deadlines that it has. */
  async stop(): Promise<void> {
    this.#running = false
    this.journal.flush('all')
    await this.#stops.stop()
  }

  /** Asks for a turn soon; many events make one turn. */
  wake(): void {
    if (this.#running) this.#pace.ask()
  }

  /** Reads the store now, so that what was just written is seen by the next turn. */
  async look(): Promise<void> {
    const snapshot = await this.#world.store.read('')
    this.#storeChanged(() => this.#agreed.take(snapshot))
  }

  /** Something was written on behalf of this node: all agents read it now. */
  async announce(): Promise<void> {
    this.#world.mesh.broadcast({ kind: 'look' })
    await this.look()
  }

  /** The config that holds, as it was written: without what operators asked for besides. */
  get config(): ConfigRecord {
    return this.#config.record
  }

  /** What the store said last; newer than the view until the next turn. */
  get agreed(): Pick<AgreedRecords, 'config' | 'wishes'> {
    return this.#agreed
  }

  get view(): View {
    return this.#view
  }

  get decision(): Decision {
    return this.#decision
  }

  /** Why the lease of this lead was not renewed in time; undefined when no lead of it is held. */
  whyNotRenewed(service: ServiceName): string | undefined {
    return this.#leads.whyNotRenewed(service)
  }

  /** How late this node's own event loop was lately. */
  get loopLagMs(): number {
    return this.#lag.worstMs(this.#world.clock.mono())
  }

  get counts(): { turns: number; stepsDone: number; stepsFailed: number; loopLagMs: number; storeAgeMs: number } {
    const now = this.#world.clock.mono()
    return { ...this.#counts, loopLagMs: this.#lag.worstMs(now), storeAgeMs: now - this.#readAt }
  }

  get writable(): boolean {
    return this.#agreed.writable
  }

  #turn(): void {
    this.#leads.renewDue() // first: a turn of a large cluster on a busy machine takes long, and timers come after it
    if (this.#readAt === 0) return // the store has said nothing yet, not even that it is away: that comes at once
    this.#counts.turns += 1
    inBackground(this.#writeConfig(), 'the first write of a config')
    this.#fitDrivers()
    this.#view = this.#observe()
    this.#decision = decide(this.#view)
    this.journal.compare(this.#decision.problems, (problem) => isToldBy(this.#view, this.#decision, problem))
    this.#receipts.note(this.#decision.problems, this.#view)
    for (const act of this.#decision.acts) inBackground(this.#steps.begin(act, this.#view), 'a step')
    adoptLeads(this.#view, {
      clock: this.#world.clock,
      leads: this.#leads,
      steps: this.#steps,
      look: () => this.look(),
    })
    this.#redundancy.see(this.#view, this.journal)
    this.#telling.routes(this.#view)
    this.#telling.report(this.#view, this.#decision.problems, false)
    for (const receipt of this.#receipts.see(this.#view, this.#world.balancer)) this.#tellReceipt(receipt)
  }

  /** Before anything is decided: a decision about a service needs its driver. */
  #fitDrivers(): void {
    const { services } = this.#config.cluster(this.#agreed.wishes)
    this.#world.drivers.fit(services, this.#config.record.removed, this.#steps)
  }

  #observe(): View {
    const view = observe(this.#observed, this.loopLagMs)
    return this.#options.freezes === false ? view : deepFreeze(view)
  }

  /** Looks again before a dangerous step: the view in which it is still wanted, if it is. */
  #recheck(act: Act): View | undefined {
    this.#view = this.#observe()
    const isWanted = decide(this.#view).acts.some(({ rule, step }) => rule === act.rule && sameStep(step, act.step))
    return isWanted ? this.#view : undefined
  }

  async #done({ step, rule }: Act, service: ServiceName | null, what: string): Promise<void> {
    this.#counts.stepsDone += 1
    this.journal.tell({ service, rule, kind: 'done', why: what })
    if (step.kind === 'take-lead') {
      const { primary } = recordOf(this.#view, step.service)
      this.#receipts.leadWon(
        step.service,
        step.term,
        this.#view,
        primary === null ? null : this.#peers.silentSince(primary),
      )
    }
    if (step.kind === 'start') this.#receipts.mark(step.service, 'started')
    if (step.kind === 'promote') this.#receipts.mark(step.service, 'promoted')
    if (step.kind === 'stop') this.#receipts.forget(step.service)
    if (step.kind === 'follow') this.#receipts.mark(step.service, 'follows')
    if (step.kind === 'promote-replica') this.#receipts.ledAgain(step.service, step.quorum.term, this.#view)
    if (!writesStore(step)) return
    this.#agreed.wroteWell()
    await this.announce() // what was written is seen by the next turn here, and by the others without waiting for a poll
  }

  #failed({ step, rule }: Act, service: ServiceName | null, error: Error): void {
    this.#counts.stepsFailed += 1
    this.journal.tell({ service, rule, kind: 'failed', why: `${step.kind} failed: ${error.message}` })
    void this.look().catch(() => undefined) // the watch says when the store is back
    this.wake()
  }

  /** A peer can hear us that could not before. The past comes first: only with it can the peer judge the present state. */
  #welcome(): void {
    if (!this.#running) return // every peer is welcomed at the start
    this.#world.mesh.broadcast({ kind: 'history', ...this.journal.recent() })
    // Before the first turn the picture is of before the drivers found what runs here: "nothing runs" would be believed.
    if (this.#counts.turns > 0) this.#telling.report(this.#view, this.#decision.problems, true)
  }

  #tellReceipt(receipt: Receipt): void {
    this.journal.keepReceipt(receipt)
    this.#world.remember('receipts', receipt)
    this.#world.mesh.broadcast({ kind: 'receipt', receipt })
    const why = `${receipt.service} is back on ${receipt.to} ${Math.round(receipt.backAfterMs)} ms after it was noticed (${receipt.kind})`
    this.journal.tell({ service: receipt.service, rule: receipt.rule as Rule, kind: 'done', why })
  }

  #hear(from: NodeName, message: Message): void {
    const now = this.#world.clock.mono()
    switch (message.kind) {
      case 'beat':
        this.#peers.beat(from, message.suspects, message.abstains, now) // the next turn comes with the own beat
        break
      case 'report':
        if (this.#peers.report(from, message.report, now)) this.wake()
        break
      case 'look':
        this.look().catch(() => undefined) // the watch says when the store is back
        break
      case 'event':
        this.journal.hear(message.event)
        break
      case 'receipt':
        this.journal.keepReceipt(message.receipt)
        break
      case 'history':
        this.journal.recall(message.events, message.receipts)
        break
      default:
        message satisfies never // the mesh lets no other kind through
    }
  }

  #beat(): void {
    const now = this.#world.clock.mono()
    this.#lag.tick(now)
    this.journal.flush()
    const abstains = this.#lag.worstMs(now) > LATE_MS
    this.#peers.judge(now, this.#world.clock.wall(), this.loopLagMs)
    const suspects = this.#peers.suspects()
    this.#world.mesh.broadcast({ kind: 'beat', suspects, abstains })
    if (suspects.length > 0 || !isIdle(this.#view, this.#decision) || now - this.#view.now >= CALM_TURN_EVERY_MS)
      this.wake()
  }

  #storeChanged(take: () => void): void {
    take()
    this.#readAt = this.#world.clock.mono()
    const isHeld = (service: ServiceName) => this.#world.drivers.get(service) !== undefined
    if (this.#config.see(this.#agreed.config, isHeld)) this.#configChanged()
    this.wake()
  }

  #configChanged(): void {
    const { record } = this.#config
    const cluster = this.#config.cluster(this.#agreed.wishes)
    this.#peers.fit(cluster, this.#world.clock.mono())
    this.#peers.forget(
      record.removed.map(({ name }) => name),
      record.number,
    )
    this.#lag.expect(cluster.timing.heartbeatMs)
    this.#world.mesh.meet(cluster.nodes.filter(({ name }) => name !== this.#options.self))
    this.#world.keepConfig(record)
  }

  /** `up` was given another config while nothing ran: the first agent that can tells the store of it. */
  async #writeConfig(): Promise<void> {
    const found = this.#agreed.config
    const record = this.#agreed.isKnown ? this.#config.toWrite(found) : undefined
    if (!record || this.#isWritingConfig) return
    this.#isWritingConfig = true
    try {
      const next = nextRecord(found, record.spec, record)
      await writeConfig(this.#world.store, found, next, this.#options.source ?? null)
      await this.announce() // also when another agent was faster: what it wrote is what holds
    } catch (error) {
      if (!(error instanceof UnderstudyError)) throw error // else the store is away, and the next turn tries again
    } finally {
      this.#isWritingConfig = false
    }
  }
}
