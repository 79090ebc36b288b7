/**
 * Answers for one cluster. Services are asked about one by one, each with what it needs, because nothing else can make a
 * difference to it; and what the same service has felt once already is not worked out again. So all pairs of a cluster of
 * seven nodes and ten services are some thousands of short courses, not some tens of thousands of long ones.
 */
import type { NodeName, ServiceName, ServiceSpec } from '../core/model.ts'
import { neverStarted } from '../core/view.ts'
import { type Effect, feltBy, keyOf, type Standing } from './failure.ts'
import { calmRecord } from './imagined-replicas.ts'
import { type Measured, UNMEASURED } from './measured.ts'
import { type Outcome, outcomeOf } from './outcome.ts'
import { closureOf, type Setting } from './question.ts'
import { type Settled, settle } from './settle.ts'
import { after, at, emptySituation, failedSituation, heldLease, type Situation } from './situation.ts'

interface Calm {
  readonly service: ServiceSpec
  readonly names: readonly ServiceName[]
  readonly situation: Situation
  readonly known: Map<string, Outcome>
}

export class Inquiry {
  readonly setting: Setting
  readonly #measured: Measured
  readonly #calm = new Map<ServiceName, Calm>()
  readonly #unknown = new Set<string>()

  constructor(setting: Setting, measured: Measured = UNMEASURED) {
    this.setting = setting
    this.#measured = measured
  }

  /** What `effect` does to a service. The cluster was calm before, and all of it happens at once. */
  outcome(service: ServiceName, effect: Effect): Outcome {
    const calm = this.#calmOf(service)
    const felt = feltBy(calm.names, effect)
    const key = keyOf(felt)
    const known = calm.known.get(key)
    if (known) return known
    const situation = failedSituation(calm.situation, felt)
    const outcome = outcomeOf(situation, this.#settle(situation), calm.service, this.#measured)
    calm.known.set(key, outcome)
    return outcome
  }

  /** Where the instances of each service stand, and who leads, before anything fails. */
  standing(): Standing {
    return new Map(this.setting.cluster.services.map(({ name }) => [name, this.#nodesOf(name)]))
  }

  primaryOf(service: ServiceName): NodeName | null {
    return this.#calmOf(service).situation.records.get(service)?.primary ?? null
  }

  calmOf(service: ServiceName): Situation {
    return this.#calmOf(service).situation
  }

  /** Steps that the core took and this model does not know: its answers leave them out. */
  get unknownSteps(): readonly string[] {
    return [...this.#unknown]
  }

  #nodesOf(service: ServiceName): NodeName[] {
    const { situation } = this.#calmOf(service)
    return this.setting.cluster.nodes
      .map(({ name }) => name)
      .filter((name) => situation.instances.get(at(name, service))?.report.state === 'running')
  }

  #calmOf(service: ServiceName): Calm {
    const known = this.#calm.get(service)
    if (known) return known
    const services = closureOf(this.setting.cluster, service)
    const spec = services.find(({ name }) => name === service)
    if (!spec) throw new Error(`there is no service ${service}`)
    const situation = emptySituation({ ...this.setting, cluster: { ...this.setting.cluster, services } })
    grantLeads(situation, services)
    this.#settle(situation)
    const calm = { service: spec, names: services.map(({ name }) => name), situation, known: new Map() }
    this.#calm.set(service, calm)
    return calm
  }

  #settle(situation: Situation): Settled {
    const settled = settle(situation)
    for (const kind of settled.unknown) this.#unknown.add(kind)
    return settled
  }
}

/** The given primary got the lead before any other node could ask. */
function grantLeads(situation: Situation, services: readonly ServiceSpec[]): void {
  for (const service of services) {
    const { name, redundancy, traits } = service
    if (traits.replicates) {
      grantCopies(situation, service)
      continue
    }
    const node = situation.setting.primaries[name]
    if (node === undefined || redundancy === 'active-active' || heldLease(situation, node, name)) continue
    situation.records.set(name, { term: 1, primary: node, revision: 1 })
    situation.leads.set(name, { node, term: 1, lease: 'lease' })
    situation.freeSince.delete(name)
    situation.held.set(at(node, name), { term: 1, endsAtMs: Number.POSITIVE_INFINITY })
  }
}

/** Its replicas run and are equally far, and the first quorum names all of them. */
function grantCopies(situation: Situation, service: ServiceSpec): void {
  const record = calmRecord(situation, service)
  const [quorum] = record?.replica.quorumConfigs ?? []
  if (!record || !quorum) return
  situation.records.set(service.name, record)
  for (const node of [quorum.primary, ...quorum.standbys]) {
    const role = node === quorum.primary ? ('primary' as const) : ('standby' as const)
    const report = { ...neverStarted(service.name), role, state: 'running', health: 'healthy', term: 1 } as const
    // Services that need it wait for it, as at a first start.
    after(situation, situation.setting.assumed.startMs, () => {
      situation.instances.set(at(node, service.name), { report, sinceMs: situation.nowMs })
    })
  }
}
