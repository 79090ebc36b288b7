/**
 * The agent's end of its balancer: hands it each new table, and turns what it says into counters and notices. A verdict is
 * the balancer's own: it has acted on it already, the agent only tells.
 */
import type { FromBalancer } from '../balancer/balancer-messages.ts'
import { type BalancerLink, type BalancerSecret, connectBalancer } from '../balancer/control-protocol.ts'
import type { ServiceName, Term } from '../core/model.ts'
import { EARLIER, type Speaks } from '../core/protocol.ts'
import type { SessionTally } from '../core/replicated/session-counts.ts'
import { routesFor } from '../core/routing.ts'
import type { RouteCounters, RoutingTable } from '../core/routing-table.ts'
import type { Rule } from '../core/rule-names.ts'
import { heldAt, leftBy } from '../core/targets.ts'
import type { View } from '../core/view.ts'
import type { BalancerPort } from './agent-ports.ts'
import type { Entry } from './repeats.ts'

export class NodeBalancer implements BalancerPort {
  readonly #link: BalancerLink
  readonly #tell: (entry: Entry) => void
  readonly #view: () => View
  readonly #failing = new Map<string, string>()
  #table: RoutingTable | null = null
  #newest = 0
  #speaks: Speaks | null = null
  #pid: number | null = null
  #counters: readonly RouteCounters[] = []
  #open: readonly string[] = []
  /** The version of the table that the balancer said it uses. */
  #inUse = 0
  #ahead: readonly string[] = []
  #still: readonly string[] = []
  #ready: readonly string[] = []
  readonly #sessions = new Map<ServiceName, SessionTally>()
  readonly #changed: () => void

  /** The agent is woken by what receipts and reports are made of. */
  constructor(socketPath: string, tell: (entry: Entry) => void, agent: () => { readonly view: View; wake(): void }) {
    this.#tell = tell
    this.#view = () => agent().view
    this.#changed = () => agent().wake()
    this.#link = connectBalancer(socketPath, {
      onMessage: (message) => this.#heard(message),
      onNotUnderstood: (why) => this.#tell({ service: null, rule: 'agent', kind: 'noticed', why }),
      onGone: () => {
        this.#open = [] // told anew once it is there again
        this.#ahead = []
        this.#still = []
        this.#ready = []
      },
    })
  }

  get pid(): number | null {
    return this.#pid
  }

  /** What the balancer that was heard last is; null: none was heard. */
  get speaks(): Speaks | null {
    return this.#speaks
  }

  get open(): readonly string[] {
    return this.#open
  }

  get sessions(): readonly SessionTally[] {
    return [...this.#sessions.values()]
  }

  get leaving(): readonly string[] {
    const table = this.#table
    return !table || this.#inUse < table.version ? [] : leftBy(table.routes)
  }

  get holding(): readonly string[] {
    const table = this.#table
    return !table || this.#inUse < table.version ? [] : heldAt(table.routes)
  }

  get still(): readonly string[] {
    return this.#still
  }

  get ready(): readonly string[] {
    return this.#ready
  }

  get ahead(): readonly string[] {
    return this.#ahead
  }

  leadsTo(service: ServiceName, term: Term): boolean {
    const table = this.#table
    if (!table || this.#inUse < table.version) return false
    const targets = table.routes.flatMap((route) => (route.service === service ? route.targets : []))
    return targets.some((target) => target.term === term && target.state === 'serving')
  }

  get counters(): readonly RouteCounters[] {
    return this.#counters
  }

  publish(table: RoutingTable): void {
    const version = Math.max(table.version, this.#newest + 1)
    this.#newest = version
    this.#table = { ...table, version }
    const wanted = new Set(table.routes.map(({ host, port }) => `${host}:${port}`))
    this.#open = this.#open.filter((place) => wanted.has(place))
    this.#link.publish(this.#table)
  }

  /** Secrets for the balancer; sent again whenever it was restarted. */
  confide(secrets: readonly BalancerSecret[]): void {
    this.#link.confide(secrets)
  }

  /** Lets the balancer start this program and hand over to it. */
  handOver({ program, args }: { readonly program: string; readonly args: readonly string[] }): void {
    this.#link.handOver(program, args)
  }

  /** Lets the balancer finish what is open and end. */
  end(): void {
    this.#link.drainAndExit()
    this.#link.close()
  }

  close(): void {
    this.#link.close()
  }

  #heard(message: FromBalancer): void {
    switch (message.type) {
      case 'hello':
        this.#inUse = message.version
        this.#speaks = message.program ?? EARLIER
        this.#pid = message.pid
        this.#outbid(message.version)
        this.#changed()
        break
      case 'ahead':
        this.#ahead = message.places
        this.#changed()
        break
      case 'still':
        this.#still = message.places
        this.#ready = message.ready ?? []
        this.#changed()
        break
      case 'counters':
        this.#counters = message.routes
        break
      case 'sessions': {
        const { type: _, ...tally } = message
        this.#sessions.set(tally.service, tally)
        this.#changed()
        break
      }
      case 'verdict':
        if (message.verdict === 'dead' && this.#isNews(message.targetId)) {
          this.#note(message.service, 'target-ejected', `balancer ejected ${message.targetId}: ${message.why}`)
        }
        break
      case 'full':
        this.#full(message)
        break
      case 'listen-failed':
        this.#listenFailed(message)
        break
      case 'listening':
        this.#open = [...new Set([...this.#open, `${message.host}:${message.port}`])].sort()
        if (this.#failing.delete(`${message.host}:${message.port}`)) {
          this.#tell({
            service: message.service,
            rule: 'endpoint-closed',
            kind: 'ended',
            why: `balancer listens on ${message.host}:${message.port}`,
          })
        }
        break
      case 'table-refused':
        this.#note(null, 'table-refused', message.why)
        break
      default:
        message satisfies never // the decoder lets no other kind through
    }
  }

  /** It has a newer table than ours, saved before the machine was started again: what we know now is newer still. */
  #outbid(version: number): void {
    if (version <= this.#newest) return
    this.#newest = version
    if (this.#table) this.publish(this.#table)
  }

  /** A verdict is news as long as the other nodes still believe that target to be healthy. */
  #isNews(targetId: string): boolean {
    const targets = routesFor(this.#view()).flatMap((route) => route.targets)
    return targets.some(({ id, state }) => id === targetId && state === 'serving')
  }

  #full({ service, targetId, isFull, of }: FromBalancer & { type: 'full' }): void {
    const why = isFull
      ? `this node's balancer has ${of} at ${targetId}, as many as it may: further ones wait, then get 503`
      : `this node's balancer can open requests at ${targetId} again`
    this.#tell({ service, rule: 'target-full', kind: isFull ? 'noticed' : 'ended', why })
  }

  /** It tries again twice a second; the operator wants to hear it once. */
  #listenFailed({ service, host, port, code, message }: FromBalancer & { type: 'listen-failed' }): void {
    const place = `${host}:${port}`
    this.#open = this.#open.filter((one) => one !== place)
    if (this.#failing.get(place) === code) return
    this.#failing.set(place, code)
    this.#note(service, 'endpoint-closed', `balancer cannot listen on ${place}: ${message}`)
  }

  #note(service: string | null, rule: Rule, why: string): void {
    this.#tell({ service, rule, kind: 'noticed', why })
  }
}
