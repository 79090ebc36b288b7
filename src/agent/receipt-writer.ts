/**
 * Builds receipts: for each change of primary, and each instance that was restarted, what happened when. The agent
 * where the service comes back writes it, because only there everything is known: the node that noticed the fault
 * first-hand said so in the vacancy, the rest happened here.
 */
import type { Receipt } from '../api/api-types.ts'
import { endedInOrder } from '../core/election.ts'
import type { NodeName, ServiceName, Term } from '../core/model.ts'
import { isCrashing } from '../core/problems/instance-missing.ts'
import type { Problem } from '../core/problems/problem.ts'
import { isHealthy, localInstance, recordOf, type View } from '../core/view.ts'
import type { BalancerPort } from './agent-ports.ts'
import { ChangesOfPrimary, sessionsIn } from './primary-change.ts'

interface Open {
  readonly kind: Receipt['kind']
  readonly rule: string
  readonly why: string
  readonly from: NodeName | null
  readonly term: Term
  readonly noticedAt: number
  readonly marks: { name: string; atMs: number }[]
  /** Its moments are kept in `changes`, because they came before it was known that the primary would be here. */
  readonly isReplicated?: boolean
  /** Since when what failed is healthy again, on the wall clock. */
  backAt?: number
}

/** What comes after the service is back (balancers that count their sessions) is waited for no longer than this. */
const SETTLES_WITHIN_MS = 2_000

const REPAIRED = new Set([
  'instance-down',
  'instance-unhealthy',
  'instance-crashing',
  'standby-down',
  'standby-unhealthy',
])
const PLANNED = new Set(['switchover-requested', 'node-drained'])

export class Receipts {
  readonly #self: NodeName
  readonly #wall: () => number
  readonly #open = new Map<ServiceName, Open>()
  readonly #changes = new ChangesOfPrimary()

  constructor(self: NodeName, wall: () => number) {
    this.#self = self
    this.#wall = wall
  }

  /** This node won a term. Nothing is written for the first one ever: no service was interrupted. */
  leadWon(service: ServiceName, term: Term, view: View, silentSince: number | null): void {
    const before = recordOf(view, service)
    const { vacancy } = before
    if (before.term === 0 || endedInOrder(vacancy)) return
    const freeSince = view.wall - (view.store.leadFreeForMs[service] ?? 0)
    // The noticing node may have another clock: a fault is never noticed after its recovery.
    const noticedAt = Math.min(vacancy?.noticedAt ?? silentSince ?? freeSince, freeSince)
    const why = vacancy?.why ?? `${before.primary ?? 'the primary'} was silent until its lease ended`
    const rule = vacancy?.rule ?? 'primary-lost'
    const kind = PLANNED.has(rule) ? 'switchover' : 'failover'
    const marks = [{ name: 'lease free', atMs: freeSince - noticedAt }]
    this.#open.set(service, { kind, rule, why, from: before.primary, term, noticedAt, marks })
    this.mark(service, 'term won')
  }

  /** A replica here was promoted in a term whose record says what had happened. */
  ledAgain(service: ServiceName, term: Term, view: View): void {
    const { vacancy, replica } = recordOf(view, service)
    const before = replica?.quorumConfigs.findLast((quorum) => quorum.term < term)
    if (!vacancy || !before) return
    const { rule, why, noticedAt } = vacancy
    const kind = PLANNED.has(rule) ? 'switchover' : 'failover'
    this.#open.set(service, { kind, rule, why, from: before.primary, term, noticedAt, marks: [], isReplicated: true })
  }

  /** Instances here that ended or hang are repairs from the moment that it was noticed. */
  note(problems: readonly Problem[], view: View): void {
    for (const { rule, service, why } of problems) {
      if (service === null || !REPAIRED.has(rule)) continue
      const { stateForMs, role } = localInstance(view, service)
      const noticedAt = rule === 'instance-unhealthy' ? view.wall : view.wall - stateForMs
      if (role !== 'primary') this.#instanceFailed(service, rule, why, noticedAt)
    }
  }

  /** An instance here ended or hangs. Only the first notice of a fault counts. */
  #instanceFailed(service: ServiceName, rule: string, why: string, noticedAt: number): void {
    if (this.#open.has(service)) return
    this.#open.set(service, { kind: 'repair', rule, why, from: this.#self, term: 0, noticedAt, marks: [] })
  }

  mark(service: ServiceName, name: string): void {
    const open = this.#open.get(service)
    open?.marks.push({ name, atMs: this.#wall() - open.noticedAt })
  }

  /** Once a turn. The receipts that are complete: what failed is healthy again here. `balancer`: this node's balancer. */
  see(view: View, balancer: Pick<BalancerPort, 'sessions' | 'leadsTo'>): Receipt[] {
    this.#changes.see(view, (service, term) => balancer.leadsTo(service, term))
    const done: Receipt[] = []
    for (const [service, open] of this.#open) {
      const spec = view.cluster.services.find(({ name }) => name === service)
      if (!spec) {
        this.forget(service) // it was removed: nothing of it comes back
        continue
      }
      const instance = localInstance(view, service)
      const back =
        isHealthy(instance) &&
        (open.kind === 'repair'
          ? open.marks.length > 0 && !isCrashing(instance)
          : instance.role === 'primary' && instance.term >= open.term && instance.replica?.quorumDurable !== false)
      if (!back && open.backAt === undefined) continue
      open.backAt ??= this.#wall()
      const sessions = open.isReplicated ? sessionsIn(view, spec, open.term, balancer.sessions) : undefined
      const settled = this.#changes.isEndpointOpen(service, open.term) && (sessions?.unheard ?? []).length === 0
      if (open.isReplicated && !settled && this.#wall() - open.backAt < SETTLES_WITHIN_MS) continue
      this.#open.delete(service)
      done.push({ ...this.#receipt(service, open, open.backAt), ...(sessions && { sessions }) })
    }
    return done
  }

  /** It ends without a receipt here: another node has the primary, or it was stopped on purpose. */
  forget(service: ServiceName): void {
    this.#open.delete(service)
  }

  #receipt(service: ServiceName, open: Open, backAt: number): Receipt {
    const backAfterMs = backAt - open.noticedAt
    const { kind, rule, why, from, term } = open
    const candidates = open.isReplicated ? this.#changes.candidatesOf(service, term) : []
    const ruled = open.isReplicated ? this.#changes.marksOf(service, term, open.noticedAt) : []
    const marks = [...open.marks, ...ruled, { name: 'healthy', atMs: backAfterMs }]
    return {
      id: `${service}-${term}-${open.noticedAt.toString(36)}-${this.#self}`,
      service,
      kind,
      rule,
      why,
      from,
      to: this.#self,
      term,
      noticedAt: new Date(open.noticedAt).toISOString(),
      marks: marks.toSorted((a, b) => a.atMs - b.atMs),
      backAfterMs,
      ...(candidates.length > 0 && { candidates }),
    }
  }
}
