/**
 * Ending a whole cluster on this machine. In order and with patience first: the agents are told through the API, stop
 * their services as configured, and leave. What has not left in time is killed, and named.
 *
 * When no agent can be told, none stops the services in order: then they get SIGTERM and their grace from us. The
 * agents go first, because a living one would start again what we end.
 */
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Client } from '../client/index.ts'
import type { ClusterSpec } from '../core/model.ts'
import { removeAllSecretFiles } from '../drivers/process/secret-files.ts'
import { UnderstudyError } from '../errors.ts'
import { type Clock, sleep } from '../lib/clock.ts'
import { removeMemoryFolderOf } from '../lib/memory-folder.ts'
import { removeSocketsOf } from '../lib/socket-path.ts'
import type { StateFolder } from './cluster-folder.ts'
import { markedProcesses } from './marked-processes.ts'
import { findProcesses, listFiles, type NodeProcess, signalProcess, unreadableIn } from './node-processes.ts'

export interface StopReport {
  /** Were the agents told, so that they could end everything in order? If not, why. */
  readonly told: boolean
  readonly why: string
  /** What had to be killed because it did not end in time. */
  readonly killed: readonly LeftProcess[]
}

export interface LeftProcess extends NodeProcess {
  readonly node: string
}

export interface StopRequest {
  readonly state: StateFolder
  /** Undefined when the folder does not say any more what runs there. */
  readonly spec: ClusterSpec | undefined
  readonly client: Client | undefined
  readonly clock: Clock
  /** How long the agents may take. Default: the longest grace of a service and five seconds. */
  readonly withinMs?: number
  /** Told whenever there is less left. */
  readonly onLeft?: (left: readonly LeftProcess[]) => void
}

const LOOK_EVERY_MS = 30
const TELL_WITHIN_MS = 3_000
/** Balancer and fence are told to end by their agent and may outlive it: a balancer by the ten seconds that it drains, and a bit. */
const COMPANIONS_MS = 15_000

export async function stopEverything(request: StopRequest): Promise<StopReport> {
  const { state, spec, clock } = request
  const graceMs = Math.max(0, ...(spec?.services ?? []).map(({ timing }) => timing.settleMs + timing.graceMs))
  const outcome = await tellAgents(request)
  if (outcome === true) {
    signalAll(leftOfFormerNodes(state, spec), 'SIGTERM')
    await waitFor(request, request.withinMs ?? graceMs + 5_000, () => agentsOf(state) === 0)
    await waitFor(request, COMPANIONS_MS, () => agentsOf(state) > 0 || whatIsLeft(state).length === 0)
  } else if (whatIsLeft(state).length > 0) {
    signalAll(
      whatIsLeft(state).filter(({ what }) => what === 'agent'),
      'SIGKILL',
    )
    await waitFor(request, 1_000, () => agentsOf(state) === 0)
    signalAll(whatIsLeft(state), 'SIGTERM')
    await waitFor(request, graceMs + 1_000, () => whatIsLeft(state).length === 0)
  }
  const killed = await killEverything(state, clock)
  request.onLeft?.([])
  return { told: outcome === true, why: outcome === true ? '' : outcome, killed }
}

/** No agent ends what is left of a node that was taken out of the config while it was lost. */
function leftOfFormerNodes(state: StateFolder, spec: ClusterSpec | undefined): LeftProcess[] {
  const named = new Set(spec?.nodes.map(({ name }) => name))
  const left = whatIsLeft(state).filter(({ node }) => spec !== undefined && !named.has(node))
  const looked = new Set(left.filter(({ what }) => what === 'agent').map(({ node }) => node))
  return left.filter(({ node }) => !looked.has(node))
}

/** SIGKILL for everything, now; returns what was killed. */
export async function killEverything(state: StateFolder, clock: Clock): Promise<LeftProcess[]> {
  const killed = new Map<number, LeftProcess>()
  for (let round = 0; round < 100; round++) {
    const left = whatIsLeft(state)
    if (left.length === 0) break
    signalAll(left, 'SIGKILL')
    for (const one of left) killed.set(one.identity.pid, one)
    await sleep(clock, 10)
  }
  if (whatIsLeft(state).length === 0) for (const node of state.listNodes()) removeOutside(state.node(node))
  return [...killed.values()]
}

/** What a node where nothing runs, and its servers, have outside of its folder. */
function removeOutside(nodeFolder: string): void {
  removeSocketsOf(nodeFolder)
  removeMemoryFolderOf(nodeFolder)
  removeAllSecretFiles(nodeFolder)
  for (const service of listFiles(join(nodeFolder, 'instances')))
    removeSocketsOf(join(nodeFolder, 'instances', service, 'run'))
}

/**
 * Everything that runs on any node of this folder, agents first. The identity files say it; where they say nothing, or the folder is
 * not whole any more, the environment of every process is looked at: a folder that was removed ends no process.
 */
export function whatIsLeft(state: StateFolder): LeftProcess[] {
  const filed = state.listNodes().flatMap((node) => findProcesses(state.node(node)).map((one) => ({ node, ...one })))
  const pids = new Set(filed.map(({ identity }) => identity.pid))
  const isWhole = filed.length > 0 && existsSync(state.clusterFile)
  const marked = isWhole ? [] : markedProcesses(dirname(state.node('any')))
  const left = [...filed, ...marked.filter(({ identity }) => !pids.has(identity.pid))]
  return left.sort((one, other) => Number(other.what === 'agent') - Number(one.what === 'agent'))
}

/** Throws UND_STATE_UNREADABLE when files of this folder do not tell what runs: then it must not be said that nothing does. */
export function refuseIfUnknown(state: StateFolder): void {
  for (const node of state.listNodes()) {
    const error = unreadableIn(state.node(node))
    if (error) throw error
  }
}

/** True when one of them took it; else why not. An agent that has just been started may need a moment to listen. */
async function tellAgents({ state, client, clock }: StopRequest): Promise<true | string> {
  if (!client) return 'the folder does not say where its agents listen'
  const deadline = clock.mono() + TELL_WITHIN_MS
  for (;;) {
    if (agentsOf(state) === 0) return 'no agent was running'
    try {
      await client.stopCluster()
      return true
    } catch (error) {
      if (!(error instanceof UnderstudyError)) throw error
      if (!error.retryable || clock.mono() > deadline) return error.message
    }
    await sleep(clock, 100)
  }
}

function agentsOf(state: StateFolder): number {
  return whatIsLeft(state).filter(({ what }) => what === 'agent').length
}

function signalAll(processes: readonly NodeProcess[], name: NodeJS.Signals): void {
  for (const one of processes) signalProcess(one, name)
}

async function waitFor({ state, clock, onLeft }: StopRequest, withinMs: number, done: () => boolean): Promise<void> {
  const deadline = clock.mono() + withinMs
  let last = -1
  while (!done() && clock.mono() < deadline) {
    const left = whatIsLeft(state)
    if (left.length !== last) onLeft?.(left)
    last = left.length
    await sleep(clock, LOOK_EVERY_MS)
  }
}
