/**
 * When each moment of a change of primary was, as this node saw it: read off the record and the own instance, turn by
 * turn, so that no other part has to report and a repeated step makes one mark. Kept for the newest term of a service;
 * receipt-writer.ts makes a receipt of it where the new primary is.
 */

import type { Receipt, SessionsSummary } from '../api/api-types.ts'
import type { ServiceName, ServiceSpec, Term } from '../core/model.ts'
import { type ChoiceNote, whyNotTheOthers } from '../core/replicated/choice-reason.ts'
import { newestConfig, replicatedRecord } from '../core/replicated/replica-facts.ts'
import type { SessionTally } from '../core/replicated/session-counts.ts'
import { localInstance, nodeState, type View } from '../core/view.ts'

/** In the order in which they come. */
const MOMENTS = ['term won', 'quorum recruited', 'promoted', 'first quorum commit', 'endpoint open'] as const
type Moment = (typeof MOMENTS)[number]

interface Change {
  readonly term: Term
  /** On the wall clock. */
  readonly at: Map<Moment, number>
  candidates: readonly ChoiceNote[]
}

export class ChangesOfPrimary {
  readonly #changes = new Map<ServiceName, Change>()

  /** Once a turn. `leadsTo`: has this node's balancer heard of the primary of that term? */
  see(view: View, leadsTo: (service: ServiceName, term: Term) => boolean): void {
    const { services } = view.cluster
    for (const service of services) if (service.traits.replicates) this.#see(view, service, leadsTo)
    // Another service of that name begins with term 1 again.
    for (const name of this.#changes.keys()) if (!services.some((one) => one.name === name)) this.#changes.delete(name)
  }

  #see(view: View, service: ServiceSpec, leadsTo: (service: ServiceName, term: Term) => boolean): void {
    const record = replicatedRecord(view, service)
    if (!record || record.replica.phase === 'switching-over') return
    const { term, replica } = record
    const known = this.#changes.get(service.name)
    const change = known?.term === term ? known : { term, at: new Map<Moment, number>(), candidates: [] }
    this.#changes.set(service.name, change)
    const mark = (moment: Moment, at = view.wall): void => {
      if (!change.at.has(moment)) change.at.set(moment, at)
    }
    const knownSince = view.wall - (view.store.recordForMs[service.name] ?? 0)
    if (replica.phase === 'recruiting') mark('term won', knownSince)
    if (replica.phase === 'promoting') mark('quorum recruited', knownSince)
    const isChosen = newestConfig(record).primary === view.self && newestConfig(record).term === term
    if (!isChosen) return
    if (replica.phase === 'promoting' && change.candidates.length === 0)
      change.candidates = whyNotTheOthers(view, service)
    const instance = localInstance(view, service.name)
    if (instance.role !== 'primary' || instance.term !== term) return
    mark('promoted')
    if (instance.replica?.quorumDurable) mark('first quorum commit')
    if (leadsTo(service.name, term)) mark('endpoint open')
  }

  /** In milliseconds from `noticedAt`; never before it, whatever clocks of other nodes say. */
  marksOf(service: ServiceName, term: Term, noticedAt: number): Receipt['marks'][number][] {
    const change = this.#changes.get(service)
    if (change?.term !== term) return []
    return MOMENTS.flatMap((name) => {
      const at = change.at.get(name)
      return at === undefined ? [] : [{ name, atMs: Math.max(0, Math.round(at - noticedAt)) }]
    })
  }

  candidatesOf(service: ServiceName, term: Term): readonly ChoiceNote[] {
    const change = this.#changes.get(service)
    return change?.term === term ? change.candidates : []
  }

  isEndpointOpen(service: ServiceName, term: Term): boolean {
    const change = this.#changes.get(service)
    return change?.term !== term || change.at.has('endpoint open')
  }
}

/** What the balancers reported of this term, summed up; undefined for services whose balancers know no sessions. */
export function sessionsIn(
  view: View,
  service: ServiceSpec,
  term: Term,
  own: readonly SessionTally[],
): SessionsSummary | undefined {
  if (!service.endpoints.some(({ purpose, protocol }) => purpose === 'primary' && protocol !== 'tcp')) return undefined
  const heard: SessionTally[] = []
  const unheard: string[] = []
  for (const { name } of view.cluster.nodes) {
    const said = name === view.self ? own : view.peers[name]?.report?.sessions
    const tally = said?.find((one) => one.service === service.name && one.term === term)
    if (tally) heard.push(tally)
    else if (nodeState(view, name) === 'alive') unheard.push(name)
  }
  const cut: Record<string, number> = {}
  for (const tally of heard)
    for (const [reason, count] of Object.entries(tally.cut)) cut[reason] = (cut[reason] ?? 0) + count
  const sum = (count: (tally: SessionTally) => number) => heard.reduce((all, tally) => all + count(tally), 0)
  return {
    held: sum(({ held }) => held),
    moved: sum(({ moved }) => moved),
    cut,
    longestHoldMs: Math.max(0, ...heard.map(({ longestHoldMs }) => longestHoldMs)),
    unheard,
  }
}
