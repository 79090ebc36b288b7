/**
 * The agent's boot order, on one screen. What is opened is pushed on the stop stack and closed in reverse.
 *
 * An agent may die at any moment and be started again: it finds the balancer, the fence and the instances that the last
 * one left, goes on with its leases, and nothing that runs notices. SIGTERM ends the agent and nothing else; that a
 * cluster should stop is a wish that is written into the store.
 */
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { serveApi } from '../api/api-server.ts'
import { type ConfigSource, effectiveCluster } from '../core/config-record.ts'
import type { ClusterSpec, NodeName, NodeSpec, ServiceSpec } from '../core/model.ts'
import { PROTOCOL } from '../core/protocol.ts'
import type { ConfigRecord } from '../core/records.ts'
import { type BalancerSays, type HoldProgress, heardByBalancers, holdProgress, wentAhead } from '../core/targets.ts'
import type { Driver } from '../drivers/driver.ts'
import { createDriver } from '../drivers/index.ts'
import type { SecretSource } from '../drivers/secret-source.ts'
import { UnderstudyError } from '../errors.ts'
import {
  type FaultListener,
  faultLine,
  guarded,
  inBackground,
  onFault,
  reportUnhandledRejections,
} from '../lib/background.ts'
import { systemClock as clock, sleep } from '../lib/clock.ts'
import { derivedSecret } from '../lib/derived-secret.ts'
import { removeFile } from '../lib/files.ts'
import type { ProcessIdentity } from '../lib/proc.ts'
import { version } from '../lib/program-version.ts'
import { type Stop, StopStack } from '../lib/stop.ts'
import { superviseLoop } from '../lib/supervised-loop.ts'
import { openStore } from '../stores/index.ts'
import type { World } from './agent-ports.ts'
import { AgentSurface } from './agent-surface.ts'
import { NodeBalancer } from './balancer-link.ts'
import { claimNode } from './claim-node.ts'
import { CompanionRenewal } from './companion-renewal.ts'
import { Companions } from './companions.ts'
import { DriverSet } from './driver-set.ts'
import { EarlierRecords } from './earlier-records.ts'
import { EndpointSecrets } from './endpoint-secrets.ts'
import { connectFence, type Fence } from './fence-client.ts'
import { firstRenewalsEnd } from './first-renewal.ts'
import { holdGuard } from './last-guard.ts'
import { LateStore } from './late-store.ts'
import { Agent } from './loop.ts'
import { WebSocketMesh } from './mesh.ts'
import { ownKill, sentenceFor } from './own-kills.ts'
import type { Entry } from './repeats.ts'
import { endFormerOn, type Neighbour } from './same-machine.ts'
import { openSecret } from './secret-store.ts'

export interface AgentOptions {
  /** The config that is kept on this machine's disk. */
  readonly config: ConfigRecord
  /** The text that it was compiled from, as long as the store does not have it. */
  readonly source?: ConfigSource
  /** Which start of the cluster this belongs to (core/model.ts, ClusterRecord). */
  readonly run: string
  /** Of this Understudy. */
  readonly version: string
  readonly token: string
  readonly node: NodeName
  /** This node's own state folder. */
  readonly nodeDir: string
  /** The embedded store's file, shared by the agents of this machine. */
  readonly storeFile: string
  /** The key of the nodes, which opens secrets. */
  readonly secretsKeyFile: string
  /** Another config holds: it is to be kept on the disk. */
  keepConfig(record: ConfigRecord): void
}

/** Runs until it is told to end. Resolves to the exit code: 0 when the cluster was stopped, 143 after SIGTERM. */
export async function runAgent(options: AgentOptions): Promise<number> {
  const { config, run, token, node, nodeDir, version, secretsKeyFile } = options
  const cluster = effectiveCluster(config, { sizes: {}, wishes: {} })
  const spec = nodeSpec(cluster, node)
  const stops = new StopStack()
  stops.push('faults', logFaults())
  const ended = untilToldToEnd()

  const identityFile = claimNode(nodeDir)
  const store = openLate(options)
  stops.push('store', () => store.close())

  const tell = (entry: Entry) => agent.journal.tell(entry)
  const agentSays = (kind: Entry['kind']) => (why: string) => tell({ service: null, rule: 'agent', kind, why })
  const companions = new Companions(nodeDir, agentSays('told'))
  const fence = connectFence(companions.fenceSocket)
  stops.push('fence', () => fence.close())
  stops.push('guard', holdGuard(companions.guardPipe))
  const balancer: NodeBalancer = new NodeBalancer(companions.balancerSocket, tell, () => agent)
  stops.push('balancer link', () => balancer.close())

  // Derived from the cluster's token, which cannot be found from one of them.
  const secretFor = (purpose: string) => derivedSecret(options.token, purpose)
  const known = knownBy(() => agent, balancer, fence, options)
  const drivers = new DriverSet({ create: driversOf(options, spec, secretFor, known), notAdopted: notAdopted(tell) })
  stops.push('drivers', () => drivers.close())

  const mesh = meshOf(options, cluster, agentSays('noticed'))
  const past = new EarlierRecords(nodeDir)
  const endFormer = endFormerOn(() => neighboursOf(options, agent.view.cluster), node, clock)
  const keepConfig = (record: ConfigRecord) => {
    guarded('keeping the config', () => options.keepConfig(record))
    inBackground(secrets.fit(record.spec.services), 'the secrets of another config')
  }
  const kept = { remember: past.remember, keepConfig, endFormer, ...processesOf(companions, balancer, fence) }
  const world = { clock, store, mesh, drivers, fence, balancer, ...kept }
  const given = { config, source: options.source ?? null, self: node, run, world, startsAtOnce }
  const agent: Agent = new Agent({ ...given, onExit: () => ended.end(0) })
  stops.push('told faults', onFault(faultsTo(agentSays('failed'))))
  companions.start() // before all that takes time: without a fence no lease is worth anything
  stops.push('companions', renewCompanions(companions, balancer, fence))

  const surface = new AgentSurface({ agent, store, run, version, secretsKeyFile, balancer, ...kept })
  await serve(surface, mesh, { host: spec.address, port: cluster.apiPort, token }, stops)

  const secrets = new EndpointSecrets({ cluster, node: spec, nodeDir, clock, secretFor, balancer, tell })
  stops.push('secrets', () => secrets.stop())

  await Promise.all([secrets.start(), drivers.begin([...cluster.services, ...config.removed])])
  await answering(fence) // a single writer is not started without it, so starting without it only makes noise
  past.recallInto(agent.journal)
  await firstRenewalsEnd()
  agent.start()
  stops.push('loop', () => agent.stop())

  const code = await ended.code
  if (code === 0) endForGood(balancer, companions, identityFile)
  await stops.stop()
  return code
}

/** They become of this agent's version. The stop lets go of them. */
function renewCompanions(companions: Companions, balancer: NodeBalancer, fence: Fence): Stop {
  const renewal = new CompanionRenewal(
    {
      ...{ version: version(), balancer, fence },
      balancerPid: () => companions.balancer.pid,
      adoptBalancer: () => companions.balancer.adoptSuccessor(),
      handOver: () => balancer.handOver(companions.balancer.successorCommand('--take-over')),
      replaceFence: () => companions.fence.replace('--replace'),
    },
    clock.mono(),
  )
  const work = () => renewal.look(clock.mono())
  const { stop } = superviseLoop({ clock, what: 'the look at the versions', everyMs: 1_000, work })
  return () => {
    stop()
    companions.close()
  }
}

/** Which the processes of this node are, and of what version. */
function processesOf(
  companions: Companions,
  balancer: NodeBalancer,
  fence: Fence,
): Required<Pick<World, 'pids' | 'versions'>> {
  const own = { version: version(), protocol: PROTOCOL }
  return {
    pids: () => companions.pids,
    versions: () => ({
      ...own,
      balancerVersion: balancer.speaks?.version ?? null,
      fenceVersion: fence.speaks?.version ?? null,
    }),
  }
}

function notAdopted(tell: (entry: Entry) => void) {
  return (service: string, { message }: Error) => {
    const why = `what an earlier agent left of ${service} could not be taken over: ${message}`
    tell({ service, rule: 'agent', kind: 'failed', why })
  }
}

async function serve(
  surface: AgentSurface,
  mesh: WebSocketMesh,
  place: { readonly host: string; readonly port: number; readonly token: string },
  stops: StopStack,
): Promise<void> {
  const api = await serveApi({ surface, ...place })
  stops.push('api', () => api.close())
  mesh.answer(api.server)
  stops.push('mesh', () => mesh.close()) // before the API, whose server would wait for the peers' links to end
}

/** The last agent of a run leaves no name behind; but until it has ended, those who wait for that must find it. */
function endForGood(balancer: NodeBalancer, companions: Companions, identityFile: string): void {
  balancer.end()
  companions.end()
  process.once('exit', () => removeFile(identityFile))
}

/** From now on uncaught errors and unhandled rejections go to agent.log with their stacks: none of them ends the agent. */
function logFaults(): Stop {
  reportUnhandledRejections()
  return onFault((what, error) => process.stderr.write(`${faultLine(what, error)}\n`))
}

function meshOf({ node, token }: AgentOptions, cluster: ClusterSpec, tell: (why: string) => void): WebSocketMesh {
  const peers = cluster.nodes.filter(({ name }) => name !== node)
  return new WebSocketMesh({ self: node, peers, port: cluster.apiPort, token, tell })
}

function faultsTo(say: (why: string) => void): FaultListener {
  return (what, { message }) => say(`a fault in ${what}: ${message}; agent.log has more`)
}

/** Four for each core, shared by the agents of one machine; two at least. Judgement: it keeps the agents' own turns short. */
function startsAtOnce({ store, nodes }: ClusterSpec): number {
  const agents = store.kind === 'embedded' ? nodes.length : 1
  return Math.max(2, Math.round((4 * availableParallelism()) / agents))
}

function nodeSpec(cluster: ClusterSpec, node: NodeName): NodeSpec {
  const spec = cluster.nodes.find(({ name }) => name === node)
  if (!spec) throw new UnderstudyError('UND_UNKNOWN_NODE', `the config has no node ${node}`)
  return spec
}

/** The store is one file on this machine, so every node is on it and has its folder beside ours. */
function neighboursOf({ node, nodeDir }: AgentOptions, cluster: ClusterSpec): readonly Neighbour[] {
  const others = cluster.nodes.filter(({ name }) => name !== node)
  return others.map(({ name }) => ({ node: name, nodeDir: join(dirname(nodeDir), name) }))
}

function untilToldToEnd(): { readonly code: Promise<number>; end(code: number): void } {
  let end: (code: number) => void = () => undefined
  const code = new Promise<number>((resolve) => {
    end = resolve
  })
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => end(143))
  return { code, end }
}

function openLate({ storeFile }: AgentOptions): LateStore {
  return new LateStore(() => openStore({ kind: 'embedded', path: storeFile, clock, random: Math.random }), clock)
}

/** What drivers ask the agent that they work for. */
interface Known {
  loopLagMs(): number
  balancersHeard(service: string): boolean
  balancersWentAhead(service: ServiceSpec): boolean
  holdProgress(service: ServiceSpec, hold: number): HoldProgress
  killedByUs(service: string, identity: ProcessIdentity): string | undefined
  readonly secrets: SecretSource
}

function knownBy(
  agent: () => Agent,
  balancer: NodeBalancer,
  fence: Fence,
  { nodeDir, secretsKeyFile }: AgentOptions,
): Known {
  const says = (): BalancerSays => {
    const { open: openDoors, leaving, holding, still, ready, ahead } = balancer
    return { openDoors, leaving, holding, still, ready, ahead }
  }
  return {
    loopLagMs: () => agent().loopLagMs,
    balancersHeard: (service) => heardByBalancers(agent().view, service, says()),
    balancersWentAhead: (service) => wentAhead(agent().view, service, says()),
    holdProgress: (service, hold) => holdProgress(agent().view, service, hold, says()),
    killedByUs: (service, identity) => {
      const kill = fence.isOver(identity) ? sentenceFor('fence') : ownKill(nodeDir, identity)
      const why = kill && agent().whyNotRenewed(service)
      return why ? `${kill} (${why})` : kill
    },
    secrets: secretSource(agent, secretsKeyFile),
  }
}

function secretSource(agent: () => Agent, keyFile: string): SecretSource {
  return {
    sealed(name) {
      const found = agent().view.store.secrets?.[name]
      return found?.sealed === undefined ? undefined : { ...found, sealed: found.sealed }
    },
    open: (name, secret) => openSecret(keyFile, name, secret),
  }
}

function driversOf(
  { config, nodeDir }: AgentOptions,
  node: NodeSpec,
  secretFor: (purpose: string) => string,
  { loopLagMs, balancersHeard, balancersWentAhead, holdProgress, killedByUs, secrets }: Known,
): (service: ServiceSpec) => Driver {
  const parts = { cluster: config.spec.name, node, nodeDir, clock, random: Math.random, loopLagMs, secretFor, secrets }
  return (service) =>
    createDriver({
      ...parts,
      service,
      balancersHeard: () => balancersHeard(service.name),
      balancersWentAhead: () => balancersWentAhead(service),
      holdProgress: (hold) => holdProgress(service, hold),
      killedByUs: (identity) => killedByUs(service.name, identity),
    })
}

const FENCE_WITHIN_MS = 3_000

async function answering(fence: Fence): Promise<void> {
  const deadline = clock.mono() + FENCE_WITHIN_MS
  while (!fence.alive() && clock.mono() < deadline) await sleep(clock, 10)
}
