/**
 * observe → decide → act → tell, on every event and with every heartbeat. A turn is quick and never waits: steps run
 * beside it, and while one runs nothing new is begun for its service. What a step changed comes back as an event, and the
 * next turn sees it.
 */
import type { Act } from '../core/choose.ts'
import { type Decision, decide } from '../core/decide.ts'
import type { ClusterSpec, InstanceReport, NodeName, NodeReport, ServiceName, Term } from '../core/model.ts'
import type { Problem } from '../core/problems/problem.ts'
import { type Route, routesFor } from '../core/routing.ts'
import { isDangerous, sameStep } from '../core/steps.ts'
import { LATE_MS } from '../core/suspicion.ts'
import { leadOf, localInstance, nodeState, recordOf, type View } from '../core/view.ts'
import { assertNever } from '../lib/assert.ts'
import { backoffMs } from '../lib/backoff.ts'
import type { Cancel } from '../lib/clock.ts'
import { deepFreeze } from '../lib/deep-freeze.ts'
import { StopStack } from '../lib/stop.ts'
import { perform } from './act.ts'
import { Agreed } from './agreed.ts'
import { Journal } from './journal.ts'
import { Lag } from './lag.ts'
import { Leads } from './leads.ts'
import { Peers } from './peers.ts'
import { Receipts } from './receipts.ts'
import type { Message, World } from './world.ts'

/** A report is said again after this long even when nothing changed: what was lost on the way is not lost for good. */
const REPORT_AGAIN_MS = 1_000
/** After a step failed, until its service is looked at again; doubles up to the last figure. */
const REST = { firstMs: 250, mostMs: 10_000 }
/** As long as nothing is wrong, heartbeats make a turn only this often. */
const CALM_TURN_EVERY_MS = 500
/** While the store cannot be written, how often a write is tried. */
const WRITE_PROBE_MS = 1_000

export interface AgentOptions {
  readonly cluster: ClusterSpec
  readonly self: NodeName
  /** Identifies this start of the cluster: a wish to stop from an earlier one does not count. */
  readonly run: string
  readonly world: World
  /** Whether views are frozen all the way down, so that no finder can change one. Default true; it costs a tenth of a turn. */
  readonly freezes?: boolean
  /** Called once, when nothing runs here any more and nothing should. */
  onExit(): void
}

export class Agent {
  readonly journal: Journal
  readonly #options: AgentOptions
  readonly #world: World
  readonly #agreed = new Agreed()
  readonly #peers: Peers
  readonly #leads: Leads
  readonly #receipts: Receipts
  readonly #lag: Lag
  readonly #stops = new StopStack()
  readonly #busy = new Map<ServiceName | null, string>()
  readonly #failures = new Map<ServiceName | null, number>()
  readonly #failedIn = new Map<ServiceName, Term>()
  readonly #incarnation: number
  readonly #startedAt: number
  #view: View
  #decision: Decision = { problems: [], acts: [] }
  #turnDue = false
  #running = false
  #routes: { readonly text: string; readonly version: number }
  #reported = { text: '', at: 0 }
  #counts = { turns: 0, stepsDone: 0, stepsFailed: 0 }
  #readAt = 0

  constructor(options: AgentOptions) {
    const { world, cluster, self } = options
    const now = world.clock.mono()
    this.#options = options
    this.#startedAt = now
    this.#world = world
    this.#incarnation = world.clock.wall()
    this.#routes = { text: '', version: Math.floor(now) }
    this.#peers = new Peers(cluster, self, now)
    this.#lag = new Lag(cluster.timing.heartbeatMs, now)
    this.#leads = new Leads(world, self, this.#agreed, () => this.wake())
    this.#receipts = new Receipts(self, () => world.clock.wall())
    this.journal = new Journal(
      self,
      () => world.clock.wall(),
      (event) => {
        world.remember(event)
        world.mesh.broadcast({ kind: 'event', event })
      },
    )
    this.#view = this.#observe()
  }

  /** Begins to look and act. What runs already was adopted by the drivers before. */
  start(): void {
    const { store, mesh, drivers } = this.#world
    this.#running = true
    this.#stops.push('leads', () => this.#leads.close())
    this.#stops.push(
      'watch',
      store.watch('', {
        changed: (snapshot) => this.#storeChanged(() => this.#agreed.take(snapshot)),
        away: (error) => this.#storeChanged(() => this.#agreed.away(error)),
      }),
    )
    this.#stops.push(
      'messages',
      mesh.onMessage((from, message) => this.#hear(from, message)),
    )
    this.#stops.push(
      'links',
      mesh.onLink(() => this.#report(true)),
    )
    for (const [name, driver] of drivers)
      this.#stops.push(
        name,
        driver.onChange(() => this.wake()),
      )
    this.#stops.push(
      'heartbeat',
      this.#every(this.#options.cluster.timing.heartbeatMs, () => this.#beat()),
    )
    this.#stops.push(
      'write probe',
      this.#every(WRITE_PROBE_MS, () => void this.#probeWrites()),
    )
    this.journal.tell({
      service: null,
      rule: 'agent',
      kind: 'told',
      why: `the agent of ${this.#options.self} has started`,
    })
    this.wake()
  }

  /** Stops deciding. Whatever runs goes on running, under the leases and deadlines that it has. */
  async stop(): Promise<void> {
    this.#running = false
    await this.#stops.stop()
  }

  /** Asks for a turn soon; many events make one turn. */
  wake(): void {
    if (this.#turnDue || !this.#running) return
    this.#turnDue = true
    queueMicrotask(() => {
      this.#turnDue = false
      if (this.#running) this.#turn()
    })
  }

  /** Reads the store now, so that what was just written is seen by the next turn. */
  async look(): Promise<void> {
    this.#agreed.take(await this.#world.store.read(''))
    this.#readAt = this.#world.clock.mono()
    this.wake()
  }

  /** Something was written on behalf of this node: everybody reads it now. */
  async announce(): Promise<void> {
    this.#world.mesh.broadcast({ kind: 'look' })
    await this.look()
  }

  get view(): View {
    return this.#view
  }

  get decision(): Decision {
    return this.#decision
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
    if (this.#readAt === 0) return // the store has said nothing yet, not even that it is away: that comes at once
    this.#counts.turns += 1
    this.#view = this.#observe()
    this.#decision = decide(this.#view)
    this.journal.compare(this.#decision.problems, (problem) => isMine(this.#view, problem))
    this.#noteFailures()
    for (const act of this.#decision.acts) void this.#act(act)
    this.#adoptLeads()
    this.#publishRoutes()
    this.#report(false)
    for (const receipt of this.#receipts.close(this.#view)) this.#tellReceipt(receipt)
  }

  #observe(): View {
    const { cluster, self, run } = this.#options
    const { clock, drivers } = this.#world
    const now = clock.mono()
    const wall = clock.wall()
    this.#peers.judge(now, wall, this.#lag.worstMs(now))
    const store = this.#agreed.facts(
      now,
      cluster.services.map(({ name }) => name),
    )
    const instances = Object.fromEntries([...drivers].map(([name, driver]) => [name, driver.observe()]))
    const busy = Object.fromEntries([...this.#busy].flatMap(([name, what]) => (name === null ? [] : [[name, what]])))
    const stopping = store.cluster.desired === 'stopped' && store.cluster.run === run
    const view: View = {
      now,
      wall,
      self,
      cluster,
      store,
      peers: this.#peers.facts(now),
      local: {
        instances,
        leases: this.#leads.facts(),
        busy,
        failedIn: Object.fromEntries(this.#failedIn),
        startedAgoMs: now - this.#startedAt,
        stopping,
      },
    }
    return this.#options.freezes === false ? view : deepFreeze(view)
  }

  /** Performs one act unless the world has changed since it was decided. */
  async #act(act: Act): Promise<void> {
    const service = act.step.kind === 'exit' ? null : act.step.service
    if (isDangerous(act.step) && !this.#stillWanted(act)) return
    this.#busy.set(service, act.step.kind)
    try {
      const done = await perform(act.step, this.#view, {
        world: this.#world,
        leads: this.#leads,
        exit: () => this.#options.onExit(),
      })
      this.#failures.delete(service)
      if (done !== undefined) this.#done(act, service, done)
      await this.#afterStep(act)
      this.#busy.delete(service)
    } catch (error) {
      this.#failed(act, service, error as Error)
    }
    this.wake()
  }

  #stillWanted(act: Act): boolean {
    this.#view = this.#observe()
    return decide(this.#view).acts.some(({ rule, step }) => rule === act.rule && sameStep(step, act.step))
  }

  #done(act: Act, service: ServiceName | null, what: string): void {
    this.#counts.stepsDone += 1
    this.journal.tell({ service, rule: act.rule, kind: 'done', why: act.why === what ? what : `${what}: ${act.why}` })
    const { step } = act
    if (step.kind === 'take-lead') {
      const freeSince = this.#view.wall - (this.#view.store.leadFreeForMs[step.service] ?? 0)
      const before = recordOf(this.#view, step.service)
      const silentSince = before.primary === null ? null : this.#peers.silentSince(before.primary)
      this.#receipts.leadWon(step.service, step.term, before, silentSince, freeSince)
    }
    if (step.kind === 'start') this.#receipts.mark(step.service, 'started')
    if (step.kind === 'promote') this.#receipts.mark(step.service, 'promoted')
    if (step.kind === 'stop') this.#receipts.forget(step.service)
  }

  /** A step that changed the store is followed by a read here, and by a word to the others that there is news. */
  async #afterStep({ step }: Act): Promise<void> {
    if (step.kind !== 'take-lead' && step.kind !== 'give-up-lead' && step.kind !== 'call-off') return
    this.#agreed.wroteWell()
    await this.announce()
  }

  /** The service rests after a failed step, longer each time, so that a step that cannot work is not hammered on. */
  #failed(act: Act, service: ServiceName | null, error: Error): void {
    const failures = (this.#failures.get(service) ?? 0) + 1
    this.#failures.set(service, failures)
    this.#counts.stepsFailed += 1
    if ((act.step.kind === 'start' || act.step.kind === 'promote') && act.step.term > 0)
      this.#failedIn.set(act.step.service, act.step.term)
    this.#busy.set(service, 'resting')
    this.journal.tell({ service, rule: act.rule, kind: 'failed', why: `${act.step.kind} failed: ${error.message}` })
    this.#world.clock.after(backoffMs(failures, REST), () => {
      this.#busy.delete(service)
      this.wake()
    })
    void this.look().catch(() => undefined) // the watch says when the store is back
  }

  /** The store says that a lead is ours and we hold no lease for it: an earlier agent of this node took it. */
  #adoptLeads(): void {
    for (const service of this.#options.cluster.services) {
      const lead = leadOf(this.#view, service.name)
      if (lead?.node !== this.#options.self || this.#view.local.leases[service.name] || this.#busy.has(service.name))
        continue
      this.#busy.set(service.name, 'adopting the lead')
      const { pid, startTime, term } = localInstance(this.#view, service.name)
      const identity = pid !== undefined && startTime !== undefined && term === lead.term ? { pid, startTime } : null
      void this.#leads
        .adopt(service, lead, identity)
        .catch(() => this.look().catch(() => undefined)) // not ours any more, or the store is away: a later turn decides
        .then(() =>
          this.#world.clock.after(50, () => {
            this.#busy.delete(service.name)
            this.wake()
          }),
        )
    }
  }

  #noteFailures(): void {
    for (const { rule, service, why } of this.#decision.problems) {
      if (service === null || !REPAIRS.has(rule)) continue
      const { stateForMs, role } = localInstance(this.#view, service)
      const noticedAt = rule === 'instance-unwell' ? this.#view.wall : this.#view.wall - stateForMs
      if (role !== 'primary') this.#receipts.instanceFailed(service, rule, why, noticedAt)
    }
  }

  #tellReceipt(receipt: Parameters<Journal['keepReceipt']>[0]): void {
    this.journal.keepReceipt(receipt)
    this.#world.mesh.broadcast({ kind: 'receipt', receipt })
    const why = `${receipt.service} is back on ${receipt.to} ${Math.round(receipt.backAfterMs)} ms after it was noticed (${receipt.kind})`
    this.journal.tell({ service: receipt.service, rule: receipt.rule, kind: 'done', why })
  }

  #publishRoutes(): void {
    const routes: Route[] = routesFor(this.#view)
    const text = JSON.stringify(routes)
    if (text === this.#routes.text) return
    this.#routes = { text, version: this.#routes.version + 1 }
    this.#world.door.publish({ version: this.#routes.version, node: this.#options.self, routes })
  }

  #report(again: boolean): void {
    const { instances, stopping } = this.#view.local
    const pids = this.#world.pids()
    const report: NodeReport = {
      node: this.#options.self,
      incarnation: this.#incarnation,
      agentPid: pids.agent,
      balancerPid: pids.balancer,
      fencePid: pids.fence,
      instances: Object.values(instances),
      stopping,
    }
    const text = JSON.stringify({ ...report, instances: report.instances.map(withoutAges) })
    const now = this.#world.clock.mono()
    if (!again && text === this.#reported.text && now - this.#reported.at < REPORT_AGAIN_MS) return
    this.#reported = { text, at: now }
    this.#world.mesh.broadcast({ kind: 'report', report })
  }

  #hear(from: NodeName, message: Message): void {
    const now = this.#world.clock.mono()
    switch (message.kind) {
      case 'beat':
        this.#peers.beat(from, message.suspects, message.abstains, now) // the next turn comes with the own beat
        break
      case 'report':
        this.#peers.report(from, message.report, now)
        this.wake()
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
      default:
        assertNever(message)
    }
  }

  #beat(): void {
    const now = this.#world.clock.mono()
    this.#lag.tick(now)
    const abstains = this.#lag.worstMs(now) > LATE_MS
    this.#peers.judge(now, this.#world.clock.wall(), this.#lag.worstMs(now))
    const suspects = this.#peers.suspects()
    this.#world.mesh.broadcast({ kind: 'beat', suspects, abstains })
    if (suspects.length > 0 || !this.#isCalm() || now - this.#view.now >= CALM_TURN_EVERY_MS) this.wake()
  }

  /** Nothing is wrong and nothing is under way: whatever changes that is an event, and events make turns of their own. */
  #isCalm(): boolean {
    const { problems } = this.#decision
    if (problems.length > 0 || this.#busy.size > 0) return false
    const peersAreAlive = Object.values(this.#view.peers).every(({ state }) => state === 'alive')
    return peersAreAlive && Object.values(this.#view.local.instances).every(isCalmInstance)
  }

  #storeChanged(take: () => void): void {
    take()
    this.#readAt = this.#world.clock.mono()
    this.wake()
  }

  /** Nothing is written while nothing may be agreed, so something must be, to find out that it works again. */
  async #probeWrites(): Promise<void> {
    if (this.#agreed.writable) return
    try {
      await this.#world.store.release(await this.#world.store.acquire(WRITE_PROBE_MS))
      this.#agreed.wroteWell()
      this.wake()
    } catch (error) {
      this.#agreed.wroteBadly(error as Error)
    }
  }

  #every(ms: number, fn: () => void): Cancel {
    let cancel: Cancel = () => undefined
    const next = () => {
      cancel = this.#world.clock.after(ms, () => {
        fn()
        next()
      })
    }
    next()
    return () => cancel()
  }
}

function isCalmInstance({ state, health }: InstanceReport): boolean {
  return state === 'stopped' || (state === 'running' && health === 'healthy')
}

const REPAIRS = new Set(['instance-down', 'instance-unwell', 'instance-crashing'])

/** Is it this node that tells about a problem? What it acts on or saw itself; of what all see alike, the first one alive. */
function isMine(view: View, problem: Problem): boolean {
  if (problem.steps.length > 0) return true
  if (problem.evidence === 'first-hand' && problem.rule !== 'primary-lost') return true
  const alive = view.cluster.nodes.map(({ name }) => name).filter((name) => nodeState(view, name) === 'alive')
  return alive[0] === view.self && problem.rule !== 'primary-lost' && problem.rule !== 'no-primary'
}

function withoutAges(instance: InstanceReport): unknown {
  return { ...instance, healthForMs: 0, stateForMs: 0, retryInMs: instance.retryInMs > 0 ? 1 : 0 }
}
