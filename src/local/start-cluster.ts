/**
 * A whole cluster on one machine, each node a process tree of its own, so that a node can be lost as a server would be.
 * The caller of `startLocal` supervises the agents: that is all that `up` does. Killing it harms nothing that runs; the
 * next `up` takes over what it finds.
 *
 * Order: is the folder claimed (one `up` at a time)? → is something of it running, and with the same config? → can this
 * machine hold it? → claim, ask the same again, write down, start. Everything that can be refused is refused before
 * anything is changed, down to the mode of the folder: what runs there needs it as it is.
 */
import { randomBytes } from 'node:crypto'
import { existsSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type Client, connect } from '../client/index.ts'
import { type ConfigChange, changesText, configChanges, isSame } from '../core/config-changes.ts'
import { type ConfigSource, unwritten } from '../core/config-record.ts'
import type { ClusterSpec, NodeName } from '../core/model.ts'
import type { ConfigRecord } from '../core/records.ts'
import { UnderstudyError } from '../errors.ts'
import { type Clock, systemClock } from '../lib/clock.ts'
import { unreadable } from '../lib/files.ts'
import type { Stop } from '../lib/stop.ts'
import { superviseLoop } from '../lib/supervised-loop.ts'
import { apiAddresses, StateFolder } from './cluster-folder.ts'
import { type LocalEvent, LocalNode, type NodePhase } from './local-node.ts'
import type { NodeProcess } from './node-processes.ts'
import { checkMachine } from './preflight.ts'
import {
  killEverything,
  type LeftProcess,
  refuseIfUnknown,
  type StopReport,
  type StopRequest,
  stopEverything,
  whatIsLeft,
} from './stop-cluster.ts'
import { claim, refuseIfClaimed } from './up-claim.ts'

export interface LocalOptions {
  readonly spec: ClusterSpec
  readonly stateDir: string
  readonly version: string
  readonly configFile?: string
  /** The text that it was compiled from, for the history of configs. */
  readonly source?: ConfigSource
  /** Who starts it, as `user@host`. */
  readonly by?: string
  /** Told of everything that happens from the very start on; `onEvent` comes too late for that. */
  readonly onEvent?: (event: LocalEvent) => void
  /** What is run as the agent of a node. Default: this program's `agent` command. For tests. */
  readonly agentCommand?: (node: NodeName, stateDir: string) => readonly string[]
  readonly clock?: Clock
}

export interface LocalCluster {
  /** The config that holds now. */
  readonly spec: ClusterSpec
  readonly state: StateFolder
  /** The road in; another one when other nodes serve it. */
  readonly client: Client
  readonly nodes: ReadonlyMap<NodeName, { readonly phase: NodePhase }>
  /** Resolves when every agent has ended because it was told to, by whomever. */
  readonly ended: Promise<void>
  startNode(name: NodeName): void
  /** SIGKILL for the agent alone; it is started again. */
  killAgent(name: NodeName): boolean
  /** SIGKILL for all of the node at once; it stays down until `startNode`. */
  killNode(name: NodeName): Promise<NodeProcess[]>
  /** In order, with patience, then by force; gives the folder back. */
  stop(options?: Pick<StopRequest, 'withinMs' | 'onLeft'>): Promise<StopReport>
  /** By force, now; gives the folder back. */
  kill(): Promise<LeftProcess[]>
  /** Looks after nothing any more and gives the folder back. What runs goes on running. */
  letGo(): void
  onEvent(listener: (event: LocalEvent) => void): Stop
}

/**
 * Resolves when every agent is started or taken over; services become healthy later. Rejects with UND_ALREADY_RUNNING,
 * UND_REFUSED (something runs with another config), UND_STATE_NOT_WRITABLE, UND_STATE_UNREADABLE, UND_ADDRESS_NOT_LOCAL,
 * UND_PORT_TAKEN, UND_PORT_FORBIDDEN; then nothing was started and nothing was changed.
 */
export async function startLocal(options: LocalOptions): Promise<LocalCluster> {
  const state = new StateFolder(options.stateDir)
  await refuseStart(options.spec, state)
  state.create()
  const giveBack = claim(state.claimFile)
  try {
    const run = runOf(options.spec, state) // once more: only the holder of the claim knows that it stays so
    const token = state.keepToken()
    state.writeCluster(clusterFile(options, run, state))
    return new Local(options, state, token, giveBack)
  } catch (error) {
    giveBack()
    throw error
  }
}

/** Rejects as `startLocal` when it would be refused now. Changes nothing. */
export async function refuseStart(spec: ClusterSpec, state: StateFolder): Promise<void> {
  state.refuseUnlessWritable()
  const changes = changesOf(spec, state)
  refuseIfClaimed(
    state.claimFile,
    changes.length === 0 ? '' : `; this config differs from the one that runs: ${changesText(changes)}`,
  )
  runOf(spec, state)
  await checkMachine(spec, state)
}

/** The run that goes on, or the name of a new one when nothing of the folder runs. Throws UND_REFUSED, UND_STATE_UNREADABLE. */
function runOf(spec: ClusterSpec, state: StateFolder): string {
  refuseIfUnknown(state)
  const token = state.readToken()
  if (whatIsLeft(state).length === 0) return randomBytes(8).toString('hex')
  const kept = state.readCluster()
  if (token === undefined) throw unreadable(state.tokenFile, 'it is missing, and something of its cluster still runs')
  const changes = changesOf(spec, state)
  if (kept && changes.length === 0) return kept.run
  const other = kept && kept.spec.name !== spec.name
  const what = other ? `the cluster “${kept.spec.name}”` : 'an older version of this config'
  const differs = kept && !other ? ` (${changesText(changes)})` : ''
  const instead = other
    ? 'end it with “understudy down”, or name another folder with --state DIR'
    : 'change it with “understudy apply”'
  throw new UnderstudyError('UND_REFUSED', `${what} still runs from ${state.path}${differs}; ${instead}`)
}

/** Something of this folder runs, with another version of this config: it can be applied. */
export function runsOtherwise(spec: ClusterSpec, state: StateFolder): boolean {
  if (!existsSync(state.clusterFile) || state.readCluster()?.spec.name !== spec.name) return false
  return changesOf(spec, state).length > 0 && whatIsLeft(state).length > 0
}

/** What differs between the config that is kept there and this one. A file that cannot be read is told by those who need it. */
function changesOf(spec: ClusterSpec, state: StateFolder): readonly ConfigChange[] {
  const kept = existsSync(state.clusterFile) ? state.readCluster() : undefined
  return kept ? configChanges(kept.spec, JSON.parse(JSON.stringify(spec))) : []
}

/** The config that the agents of a run that goes on have agreed on, or this one, for the first of them to write. */
function clusterFile(
  { spec, configFile, source, version, by = '', clock }: LocalOptions,
  run: string,
  state: StateFolder,
) {
  const kept = state.readCluster()
  const goesOn = kept?.run === run
  const config = goesOn
    ? kept.config
    : unwritten(spec, { run, by, version, at: (clock ?? systemClock).wall(), message: 'up' })
  const told = goesOn ? kept.source : source
  return { config, run, version, ...(told && { source: told }), ...(configFile !== undefined && { configFile }) }
}

/** Between two looks at the file that agents write when another config holds. */
const LOOK_AT_CONFIG_MS = 250

class Local implements LocalCluster {
  readonly state: StateFolder
  readonly ended: Promise<void>
  readonly #nodes = new Map<NodeName, LocalNode>()
  readonly #options: LocalOptions
  readonly #token: string
  readonly #clock: Clock
  readonly #giveBack: () => void
  readonly #listeners = new Set<(event: LocalEvent) => void>()
  readonly #watch: Stop
  #client: Client
  #spec: ClusterSpec
  #seen = ''
  /** Undefined until the file was read. */
  #wanted: ReadonlySet<NodeName> | undefined
  #sayEnded = () => {}

  constructor(options: LocalOptions, state: StateFolder, token: string, giveBack: () => void) {
    const { spec, clock = systemClock } = options
    this.#options = options
    this.#token = token
    this.#spec = spec
    this.state = state
    this.#client = connect({ addresses: apiAddresses(spec), token })
    this.#clock = clock
    this.#giveBack = giveBack
    this.ended = new Promise((resolve) => {
      this.#sayEnded = resolve
    })
    if (options.onEvent) this.#listeners.add(options.onEvent)
    const leaving = state.readCluster()?.config.leaving ?? []
    for (const { name } of [...spec.nodes, ...leaving]) this.#add(name)
    const work = () => this.#followConfig()
    this.#watch = superviseLoop({ clock, what: 'the look at the config', everyMs: LOOK_AT_CONFIG_MS, work }).stop
  }

  get spec(): ClusterSpec {
    return this.#spec
  }

  get client(): Client {
    return this.#client
  }

  get nodes(): ReadonlyMap<NodeName, { readonly phase: NodePhase }> {
    return this.#nodes
  }

  startNode(name: NodeName): void {
    this.#node(name).start()
  }

  killAgent(name: NodeName): boolean {
    return this.#node(name).killAgent()
  }

  killNode(name: NodeName): Promise<NodeProcess[]> {
    return this.#node(name).kill()
  }

  async stop(options: Pick<StopRequest, 'withinMs' | 'onLeft'> = {}): Promise<StopReport> {
    const { state, spec, client } = this
    this.#stopLooking()
    const report = await stopEverything({ state, spec, client, clock: this.#clock, ...options })
    this.letGo()
    return report
  }

  async kill(): Promise<LeftProcess[]> {
    this.#stopLooking()
    const killed = await killEverything(this.state, this.#clock)
    this.letGo()
    return killed
  }

  letGo(): void {
    this.#stopLooking()
    this.#giveBack()
  }

  onEvent(listener: (event: LocalEvent) => void): Stop {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #stopLooking(): void {
    this.#watch()
    for (const node of this.#nodes.values()) node.letGo()
  }

  #add(name: NodeName): void {
    const { agentCommand = ownAgent } = this.#options
    const { state } = this
    const tell = (event: LocalEvent) => this.#tell(event)
    const command = agentCommand(name, state.path)
    const node = new LocalNode({ name, folder: state.node(name), command, clock: this.#clock, tell })
    this.#nodes.set(name, node)
    node.start()
  }

  /** Nodes that the config names now get an agent; one that has left is looked after until its agent has ended by itself. */
  #followConfig(): void {
    const seen = changeMark(this.state.clusterFile)
    const isNews = seen !== this.#seen
    this.#seen = seen // a file that cannot be read is told once
    const kept = isNews ? this.state.readCluster() : undefined
    if (kept) this.#adopt(kept.config)
    for (const [name, node] of this.#nodes) {
      const isWanted = this.#isWanted(name)
      if (isWanted || node.phase === 'running') continue
      node.letGo()
      this.#nodes.delete(name)
    }
  }

  #adopt({ spec, leaving }: ConfigRecord): void {
    this.#wanted = new Set([...spec.nodes, ...leaving].map(({ name }) => name))
    for (const { name } of spec.nodes) if (!this.#nodes.has(name)) this.#add(name)
    if (isSame(spec, this.#spec)) return
    this.#spec = spec
    this.#client = connect({ addresses: apiAddresses(spec), token: this.#token })
  }

  #isWanted(name: NodeName): boolean {
    return this.#wanted?.has(name) ?? true
  }

  #node(name: NodeName): LocalNode {
    const node = this.#nodes.get(name)
    if (node) return node
    throw new UnderstudyError('UND_UNKNOWN_NODE', `no node “${name}”; there are: ${[...this.#nodes.keys()].join(', ')}`)
  }

  #tell(event: LocalEvent): void {
    for (const listener of [...this.#listeners]) listener(event)
    if (
      event.what === 'agent-ended' &&
      [...this.#nodes.values()].every(({ phase }) => phase === 'ended' || phase === 'down')
    ) {
      this.#sayEnded()
    }
  }
}

/** Differs when a file was written anew. */
function changeMark(path: string): string {
  const file = statSync(path, { throwIfNoEntry: false })
  return file ? `${file.ino} ${file.mtimeMs}` : ''
}

/**
 * MiB of each half of an agent's young generation. V8 would let it grow to 16, and the pages stay: an idle agent of twenty services
 * had 113 MB, and has 101 with this, for the same processor time.
 */
const AGENT_YOUNG_MIB = 4

/** From dist/ this program's own main; from the sources (in tests) the built one. */
function ownAgent(node: NodeName, stateDir: string): readonly string[] {
  const main = fileURLToPath(
    new URL(import.meta.url.endsWith('.ts') ? '../../dist/cli/main.js' : '../cli/main.js', import.meta.url),
  )
  return [
    process.execPath,
    `--max-semi-space-size=${AGENT_YOUNG_MIB}`,
    main,
    'agent',
    '--node',
    node,
    '--state',
    stateDir,
  ]
}
