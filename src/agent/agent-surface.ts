/**
 * The agent as its API sees it: answers from the last view, and requests that are checked here, written into the store
 * and then done by whichever agent they concern. A request is refused before it is written when it could not be done.
 */
import { randomUUID } from 'node:crypto'
import type {
  Accepted,
  EventRecord,
  Explanation,
  InstanceStatus,
  NodeStatus,
  Receipt,
  ResizeRequest,
  ServiceStatus,
  Status,
  SwitchoverRequest,
} from '../api/api-types.ts'
import type { Gauges, Surface } from '../api/surface.ts'
import { commonProtocol } from '../core/common-protocol.ts'
import { isServing, knownProblems, sentenceFor, standing } from '../core/explain.ts'
import type { NodeName, NodeSpec, ServiceSpec } from '../core/model.ts'
import { silenceOf } from '../core/node-silence.ts'
import { EARLIER, UNSAID_PROTOCOL, type VersionReport } from '../core/protocol.ts'
import type { ClusterRecord, NodeRecord, ServiceRecord, SizeRecord } from '../core/records.ts'
import { redundancyOf } from '../core/redundancy.ts'
import { closedEndpoints } from '../core/redundancy-missing.ts'
import { expectedRto } from '../core/replicated/expected-rto.ts'
import { readOnlyOf } from '../core/replicated/read-only.ts'
import { lagBytesOf } from '../core/replicated/replica-facts.ts'
import { resizeRefusal } from '../core/resize.ts'
import { rolloutState } from '../core/rollout-state.ts'
import type { RouteCounters } from '../core/routing-table.ts'
import { defaultSuccessor, switchoverRefusal, whyNobody } from '../core/switchover-check.ts'
import { instanceOn, isDrained, isHealthy, isLeaving, leaderOf, nodeState, recordOf, type View } from '../core/view.ts'
import { UnderstudyError } from '../errors.ts'
import type { Stop } from '../lib/stop.ts'
import type { Store } from '../stores/store.ts'
import { AgentConfigSurface } from './agent-config-surface.ts'
import { AgentSecretSurface } from './agent-secret-surface.ts'
import { KEY } from './agreed-records.ts'
import type { Agent } from './loop.ts'
import { nodeNamed, revisionOf, serviceNamed, writeAgreed } from './surface-writes.ts'

const RECENT = 20

export interface SurfaceOptions {
  readonly agent: Agent
  readonly store: Store
  readonly run: string
  /** The key of the nodes, which opens secrets. */
  readonly secretsKeyFile: string
  /** Of this agent's Understudy. */
  readonly version: string
  versions(): VersionReport
  pids(): { readonly agent: number; readonly balancer: number | null; readonly fence: number | null }
  /** What the balancer of this node said last: where it listens, and what passed through. */
  readonly balancer: { readonly open: readonly string[]; readonly counters: readonly RouteCounters[] }
}

export class AgentSurface implements Surface {
  readonly configs: AgentConfigSurface
  readonly secrets: AgentSecretSurface
  readonly #options: SurfaceOptions

  constructor(options: SurfaceOptions) {
    this.#options = options
    this.configs = new AgentConfigSurface(options)
    this.secrets = new AgentSecretSurface({ ...options, keyFile: options.secretsKeyFile })
  }

  get ready(): boolean {
    return this.#options.agent.counts.turns > 0
  }

  status(): Status {
    const { view } = this.#options.agent
    const { cluster } = view
    return {
      cluster: cluster.name,
      answeredBy: view.self,
      at: new Date(view.wall).toISOString(),
      store: { kind: cluster.store.kind, ...this.#store() },
      protocol: commonProtocol(view),
      nodes: cluster.nodes.map((node) => this.#node(node)),
      services: cluster.services.map((service) => this.#service(service)),
      config: this.configs.status(view),
    }
  }

  async why(name: string): Promise<Explanation> {
    const { agent } = this.#options
    const service = serviceNamed(this.#options.agent.view, name)
    const { view, decision, journal } = agent
    const known = knownProblems(view, decision.problems)
    const now = sentenceFor(view, service, known)
    const problems = known
      .filter((problem) => problem.service === name || problem.service === null)
      .map(({ rule, evidence, why, node }) => ({ rule, evidence, why, node }))
    const candidates = standing(view, service).map(({ node, able, why }) => ({ node, able, why }))
    const recent = journal
      .events()
      .filter((event) => event.service === name)
      .slice(-RECENT)
    return { service: name, now, problems, candidates, recent }
  }

  events(): readonly EventRecord[] {
    return this.#options.agent.journal.events()
  }

  onEvent(listener: (event: EventRecord) => void): Stop {
    return this.#options.agent.journal.onEvent(listener)
  }

  receipts(): readonly Receipt[] {
    return this.#options.agent.journal.receipts()
  }

  gauges(): Gauges {
    return {
      ...this.#options.agent.counts,
      rssBytes: process.memoryUsage.rss(),
      balancer: this.#options.balancer.counters,
    }
  }

  async switchover({ service: name, to }: SwitchoverRequest): Promise<Accepted> {
    const service = serviceNamed(this.#options.agent.view, name)
    await this.#options.agent.look()
    const { view } = this.#options.agent
    if (to !== undefined) nodeNamed(this.#options.agent.view, to)
    const target = to ?? defaultSuccessor(view, service)
    const leader = leaderOf(view, service)
    if (target === undefined && leader) {
      const reasons = whyNobody(view, service, leader.node)
      throw new UnderstudyError(
        'UND_REFUSED',
        `no other node can become primary of ${name} now (${reasons.join('; ')})`,
      )
    }
    const refusal = switchoverRefusal(view, service, target ?? view.self)
    if (refusal !== undefined || target === undefined)
      throw new UnderstudyError('UND_REFUSED', refusal ?? 'it has no primary')
    const { revision, ...record } = recordOf(view, name)
    const switchover = { id: randomUUID(), to: target, requestedAt: view.wall }
    await writeAgreed(this.#options, KEY.service(name), revision, { ...record, switchover } satisfies ServiceRecord)
    return { id: switchover.id, what: `${name} moves from ${leader?.node} to ${target}` }
  }

  async resize({ service: name, instances, degrade }: ResizeRequest): Promise<Accepted> {
    const { agent } = this.#options
    serviceNamed(this.#options.agent.view, name)
    await agent.look()
    const service = serviceNamed(this.#options.agent.view, name)
    const refusal = resizeRefusal(agent.view, service, instances, degrade)
    if (refusal !== undefined) throw new UnderstudyError('UND_REFUSED', refusal)
    const configured = agent.config.spec.services.find((one) => one.name === name)?.instances ?? service.instances
    const wish: SizeRecord = { instances, configured, ...(degrade && { degrade }) }
    await writeAgreed(this.#options, KEY.size(name), revisionOf(agent.view.store.sizes[name]), wish)
    return { id: randomUUID(), what: `${name} goes from ${service.instances} to ${instances} instances` }
  }

  async drain(node: string, drained: boolean): Promise<Accepted> {
    nodeNamed(this.#options.agent.view, node)
    const revision = revisionOf(this.#options.agent.view.store.nodes[node])
    await writeAgreed(this.#options, KEY.node(node), revision, { drained } satisfies NodeRecord)
    return { id: randomUUID(), what: drained ? `${node} is being drained` : `${node} is no longer drained` }
  }

  async stopCluster(): Promise<Accepted> {
    const revision = revisionOf(this.#options.agent.view.store.cluster)
    const wish: ClusterRecord = { desired: 'stopped', run: this.#options.run }
    await writeAgreed(this.#options, KEY.cluster, revision, wish)
    return { id: randomUUID(), what: 'the cluster stops: every service ends, then every node' }
  }

  /** Of use only when every living agent can use it: one that cannot takes part in nothing. */
  #store(): { readonly writable: boolean; readonly why: string } {
    const { view, writable, decision } = this.#options.agent
    if (!view.store.reachable || !writable) return { writable: false, why: view.store.why }
    const away = knownProblems(view, decision.problems).find(({ rule }) => rule === 'store-away')
    return { writable: away === undefined, why: away ? `${away.node} says: ${away.why}` : '' }
  }

  #node({ name, address, zone, region }: NodeSpec): NodeStatus {
    const { view } = this.#options.agent
    const state = nodeState(view, name)
    const report = view.peers[name]?.report
    const pids =
      name === view.self
        ? this.#options.pids()
        : { agent: report?.agentPid ?? null, balancer: report?.balancerPid ?? null, fence: report?.fencePid ?? null }
    const shown = state === 'condemned' ? 'suspect' : state
    return {
      name,
      address,
      zone,
      region,
      alive: state === 'alive',
      state: shown,
      drained: isDrained(view, name),
      ...(isLeaving(view, name) && { leaving: true as const }),
      agentPid: pids.agent,
      balancerPid: pids.balancer,
      fencePid: pids.fence,
      ...versionsOf(name === view.self ? this.#options.versions() : report),
    }
  }

  /** As the node itself says; nothing is said for one that is not heard. */
  #openEndpoints(node: NodeName): readonly string[] | undefined {
    const { view } = this.#options.agent
    if (node === view.self) return this.#options.balancer.open
    return nodeState(view, node) === 'lost' ? undefined : view.peers[node]?.report?.openDoors
  }

  #service(service: ServiceSpec): ServiceStatus {
    const { agent } = this.#options
    const { view, decision, journal } = agent
    const lead = leaderOf(view, service)
    const last = journal.events().findLast(({ service: of, kind, rule }) => {
      return of === service.name && kind !== 'ended' && rule !== 'redundancy' // what was done, not how it stands
    })
    return {
      name: service.name,
      kind: service.kind,
      redundancy: service.redundancy,
      term: recordOf(view, service.name).term,
      primary: lead?.node ?? null,
      healthy: isServing(view, service) && !closedEndpoints(view, service).all,
      why: sentenceFor(view, service, knownProblems(view, decision.problems)),
      readOnly: readOnlyOf(view, service)?.why ?? null,
      wanted: service.instances,
      quorum: quorumOf(recordOf(view, service.name), service),
      rule: last?.rule ?? '',
      instances: view.cluster.nodes.flatMap((node) => this.#instance(node.name, service) ?? []),
      redundancyState: redundancyOf(view, service),
      ...wishesOf(view, service),
      ...expectationOf(view, service),
      endpoints: view.cluster.nodes.flatMap((node) =>
        service.endpoints.map(({ purpose, protocol, port }) => ({
          node: node.name,
          purpose,
          protocol,
          host: node.address,
          port,
          open: this.#openEndpoints(node.name)?.includes(`${node.address}:${port}`) ?? false,
        })),
      ),
    }
  }

  #instance(node: NodeName, service: ServiceSpec): InstanceStatus | undefined {
    const { view } = this.#options.agent
    const instance = instanceOn(view, node, service.name)
    if (!instance || (instance.state === 'stopped' && instance.failures === 0 && instance.note === '')) return undefined
    const state = nodeState(view, node)
    // One that is late for a moment is not unknown; one that its observers call silent is.
    const silent = state !== 'alive' && state !== 'suspect'
    return {
      node,
      role: instance.state === 'stopped' ? 'none' : instance.role,
      state: silent ? 'unknown' : instance.state,
      healthy: !silent && isHealthy(instance),
      note: silent ? `${node}: ${silenceOf(view, node)}${instance.note && `; then: ${instance.note}`}` : instance.note,
      pid: instance.pid ?? null,
      port: instance.port ?? null,
      failures: instance.failures,
      retryInMs: Math.round(instance.retryInMs),
      ...(!silent && instance.outdated && { outdated: instance.outdated.why }),
      ...(!silent && lagOf(view, node, service)),
    }
  }
}

/** What was asked for and is not done, or holds until further notice. */
function wishesOf(view: View, service: ServiceSpec): Pick<ServiceStatus, 'rollout' | 'restarts' | 'stopped'> {
  const rollout = rolloutState(view, service)
  const stopped = service.stopped && view.store.wishes?.[service.name]?.stopped
  return {
    ...(rollout && { rollout }),
    ...(service.restarts !== undefined && { restarts: service.restarts }),
    ...(stopped && { stopped: { at: new Date(stopped.at).toISOString(), by: stopped.by } }),
  }
}

/** A node that was heard and says no version is of one before there was a protocol. */
function versionsOf(
  said: VersionReport | null | undefined,
): Pick<NodeStatus, 'version' | 'protocol' | 'balancerVersion' | 'fenceVersion'> {
  if (!said) return { version: null, protocol: null, balancerVersion: null, fenceVersion: null }
  const { version, protocol = UNSAID_PROTOCOL, balancerVersion, fenceVersion } = said
  const of = (one: string | null | undefined) => (one === undefined ? EARLIER.version : one)
  return { version: of(version), protocol, balancerVersion: of(balancerVersion), fenceVersion: of(fenceVersion) }
}

function expectationOf(view: View, service: ServiceSpec): Pick<ServiceStatus, 'expectedRto'> {
  const expected = expectedRto(view, service)
  return expected ? { expectedRto: expected } : {}
}

function lagOf(view: View, node: NodeName, service: ServiceSpec): Pick<InstanceStatus, 'lagBytes'> {
  const lagBytes = lagBytesOf(view, node, service)
  return lagBytes === undefined ? {} : { lagBytes }
}

function quorumOf({ replica }: ServiceRecord, { replication }: ServiceSpec): ServiceStatus['quorum'] {
  const quorum = replica?.phase === 'serving' ? replica.quorumConfigs.at(-1) : undefined
  return quorum ? { k: quorum.k, standbys: quorum.standbys, wanted: replication?.k ?? 0 } : null
}
