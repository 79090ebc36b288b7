/**
 * What is true, whatever an agent believes: which processes run, and what the store granted to which node. Invariants
 * are checked here, at every change that could break one, and what is broken is kept as sentences.
 */
import { oneRunForTerm, oneWriter, type Seen, termsAreGranted, termsGrow } from '../core/invariants.ts'
import type { ClusterSpec, InstanceReport, NodeName, ServiceName, ServiceSpec, Term } from '../core/model.ts'
import type { ConfigRecord, LeadRecord, ServiceRecord } from '../core/records.ts'
import type { Route, RoutingTable } from '../core/routing-table.ts'
import { justStarted } from '../core/view.ts'
import type { Write } from '../stores/store.ts'
import type { Process } from './sim-processes.ts'

export interface Grant {
  readonly service: ServiceName
  readonly term: Term
  readonly node: NodeName
}

export class Truth {
  #cluster: ClusterSpec
  readonly #broken: (sentence: string) => void
  readonly #open = new Set<Process>()
  readonly #granted = new Map<string, NodeName>()
  readonly #terms: Record<ServiceName, Term> = {}
  readonly #ran = new Map<string, Seen>()
  readonly #routed = new Map<string, Term>()
  readonly grants: Grant[] = []
  readonly #tables = new Map<NodeName, { readonly table: RoutingTable; readonly agentPid: number }>()
  tablesFallenBack = 0

  constructor(cluster: ClusterSpec, broken: (sentence: string) => void) {
    this.#cluster = cluster
    this.#broken = broken
  }

  processChanged(process: Process, what: 'open' | 'promoted' | 'dead' | 'frozen' | 'thawed'): void {
    if (what === 'dead') this.#open.delete(process)
    else this.#open.add(process)
    if ((what !== 'open' && what !== 'promoted') || process.role !== 'primary') return
    if (this.#replicates(process.service)) return // judged by what it acknowledges (database/ledger.ts)
    this.#tell(oneWriter(this.#cluster, this.#primariesOf(process.service)))
    const owner = this.#granted.get(`${process.service} ${process.term}`)
    const seen = { node: process.node, instance: reportOf(process) }
    this.#tell(termsAreGranted(this.#terms, [seen]))
    const run = `${process.service} ${process.term}`
    this.#tell(oneRunForTerm(this.#ran.get(run), seen))
    this.#ran.set(run, seen)
    if (owner !== process.node) {
      this.#tell([
        `${process.service} leads on ${process.node} in term ${process.term}, which was granted to ${owner ?? 'no node'}`,
      ])
    }
  }

  swapped(writes: readonly Write[]): void {
    for (const { key, value } of writes) {
      if (key === 'config') this.#know((value as ConfigRecord).spec.services)
      if (key.startsWith('service/') && value === undefined) this.#forget(key.slice('service/'.length))
      else if (key.startsWith('service/')) this.#recordWritten(key.slice('service/'.length), value as ServiceRecord)
      if (key.startsWith('lead/') && value !== undefined)
        this.#leadWritten(key.slice('lead/'.length), value as LeadRecord)
    }
  }

  /**
   * No balancer sends to a lower term once it has seen a higher. An agent that was frozen or has just started may hand out
   * a table that has fallen back; a balancer remembers the highest term of any table (balancer/live-route.ts) and ignores
   * what is below. This stands for it: agents' tables are counted, what the balancer would do with them is checked.
   */
  routed(table: RoutingTable, agentPid: number): void {
    this.#tables.set(table.node, { table, agentPid })
    for (const { service, purpose, targets } of table.routes) {
      if (purpose !== 'primary') continue
      const key = `${table.node} ${service}`
      const seen = Math.max(this.#routed.get(key) ?? 0, ...targets.map(({ term }) => term))
      const serving = targets.filter(({ state }) => state === 'serving')
      if (serving.some(({ term }) => term < seen)) this.tablesFallenBack += 1
      this.#routed.set(key, seen)
    }
  }

  /** The newest routing table of a node's balancer. */
  tableOf(node: NodeName): RoutingTable | undefined {
    return this.#tables.get(node)?.table
  }

  /** Where the balancer of a node routes for the primary of a service, by the newest table, and whose that is. */
  routeOf(node: NodeName, service: ServiceName): { readonly route: Route; readonly agentPid: number } | undefined {
    const { table, agentPid = 0 } = this.#tables.get(node) ?? {}
    const route = table?.routes.find((one) => one.service === service && one.purpose === 'primary')
    return route && { route, agentPid }
  }

  /** A node lost power: its balancer starts with nothing. */
  forgetRoutes(node: NodeName): void {
    this.#tables.delete(node)
    for (const key of [...this.#routed.keys()]) if (key.startsWith(`${node} `)) this.#routed.delete(key)
  }

  /** Services that a config added: those that it took out are known as well, for as long as anything of them may run. */
  #know(services: readonly ServiceSpec[]): void {
    const isNew = ({ name }: ServiceSpec) => this.#cluster.services.every((one) => one.name !== name)
    const added = services.filter(isNew)
    if (added.length > 0) this.#cluster = { ...this.#cluster, services: [...this.#cluster.services, ...added] }
  }

  /** It was removed and nothing of it is left: one of the same name begins with its first term. */
  #forget(service: ServiceName): void {
    delete this.#terms[service]
    for (const terms of [this.#granted, this.#ran])
      for (const key of [...terms.keys()]) if (key.startsWith(`${service} `)) terms.delete(key)
    for (const key of [...this.#routed.keys()]) if (key.endsWith(` ${service}`)) this.#routed.delete(key)
  }

  #recordWritten(service: ServiceName, { term }: ServiceRecord): void {
    const before = { [service]: this.#terms[service] ?? 0 }
    this.#tell(termsGrow(before, { [service]: term }))
    this.#terms[service] = Math.max(before[service] ?? 0, term)
  }

  #leadWritten(service: ServiceName, { term, node }: LeadRecord): void {
    const before = this.#granted.get(`${service} ${term}`)
    if (before !== undefined) this.#tell([`term ${term} of ${service} was granted to ${before} and then to ${node}`])
    this.#granted.set(`${service} ${term}`, node)
    this.grants.push({ service, term, node })
  }

  #replicates(service: ServiceName): boolean {
    return this.#cluster.services.some(({ name, traits }) => name === service && traits.replicates)
  }

  #primariesOf(service: ServiceName): { node: NodeName; instance: InstanceReport }[] {
    return [...this.#open]
      .filter((process) => process.service === service && process.role === 'primary')
      .map((process) => ({ node: process.node, instance: reportOf(process) }))
  }

  #tell(sentences: readonly string[]): void {
    for (const sentence of sentences) this.#broken(sentence)
  }
}

function reportOf(process: Process): InstanceReport {
  return { ...justStarted(process), ...process.identity }
}
