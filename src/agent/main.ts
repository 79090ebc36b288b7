/**
 * The agent's boot order, on one screen. What is opened is pushed on the stop stack and closed in reverse.
 *
 * An agent may die at any moment and be started again: it finds the balancer, the fence and the instances that the last
 * one left, goes on with its leases, and nothing that runs notices. SIGTERM ends the agent and nothing else; that a
 * cluster should stop is a wish that is written into the store.
 */
import { join } from 'node:path'
import type { EventRecord } from '../api/contract.ts'
import { serveApi } from '../api/server.ts'
import type { ClusterSpec, NodeName } from '../core/model.ts'
import { routesFor } from '../core/routing.ts'
import type { Driver } from '../drivers/driver.ts'
import { createDriver } from '../drivers/index.ts'
import { UnderstudyError } from '../errors.ts'
import { systemClock as clock, sleep } from '../lib/clock.ts'
import { socketPath } from '../lib/socket-path.ts'
import { StopStack } from '../lib/stop.ts'
import { openStore } from '../stores/index.ts'
import { claimNode } from './claim-node.ts'
import { Companion } from './companion.ts'
import { Door } from './doors.ts'
import { EventFile } from './event-file.ts'
import { connectFence, type Fence } from './fence.ts'
import { LateStore } from './late-store.ts'
import { Agent } from './loop.ts'
import { WebSocketMesh } from './mesh.ts'
import { AgentSurface } from './surface.ts'

export interface AgentOptions {
  readonly cluster: ClusterSpec
  /** Which start of the cluster this belongs to (core/model.ts, ClusterRecord). */
  readonly run: string
  readonly token: string
  readonly node: NodeName
  /** This node's own state folder. */
  readonly nodeDir: string
  /** The embedded store's file, shared by the agents of this machine. */
  readonly storeFile: string
}

/** Runs until it is told to end. Resolves to the exit code: 0 when the cluster was stopped, 143 after SIGTERM. */
export async function runAgent(options: AgentOptions): Promise<number> {
  const { cluster, run, token, node, nodeDir } = options
  const spec = cluster.nodes.find(({ name }) => name === node)
  if (!spec) throw new UnderstudyError('UND_UNKNOWN_NODE', `the config has no node ${node}`)
  const stops = new StopStack()
  let end: (code: number) => void = () => undefined
  const ended = new Promise<number>((resolve) => {
    end = resolve
  })

  claimNode(nodeDir)
  const events = new EventFile(join(nodeDir, 'events.ndjson'))
  const store = new LateStore(
    () => openStore({ kind: 'embedded', path: options.storeFile, clock, random: Math.random }),
    clock,
  )
  stops.push('store', () => store.close())

  const companions = companionsOf(nodeDir, (why) =>
    agent.journal.tell({ service: null, rule: 'agent', kind: 'told', why }),
  )
  const fence = connectFence(companions.fenceSocket)
  const door: Door = new Door(
    companions.balancerSocket,
    (entry) => agent.journal.tell(entry),
    (targetId) =>
      routesFor(agent.view).some(({ targets }) =>
        targets.some(({ id, state }) => id === targetId && state === 'serving'),
      ),
  )
  stops.push('door', () => door.close())
  stops.push('fence', () => fence.close())

  const drivers = new Map<string, Driver>()
  for (const service of cluster.services) {
    const driver = createDriver({
      cluster: cluster.name,
      node: spec,
      service,
      nodeDir,
      clock,
      random: Math.random,
      loopLagMs: () => agent.counts.loopLagMs,
    })
    stops.push(service.name, () => driver.close())
    drivers.set(service.name, driver)
  }

  const pids = () => ({ agent: process.pid, balancer: companions.balancer.pid, fence: companions.fence.pid })
  const mesh = new WebSocketMesh({
    self: node,
    peers: cluster.nodes.filter(({ name }) => name !== node),
    port: cluster.apiPort,
    token,
  })
  const world = {
    clock,
    store,
    mesh,
    drivers,
    fence,
    door,
    pids,
    remember: (event: EventRecord) => events.append(event),
  }
  const agent: Agent = new Agent({ cluster, self: node, run, world, onExit: () => end(0) })

  const surface = new AgentSurface({ agent, store, run, pids, balancer: () => door.counters })
  const api = await serveApi({ surface, host: spec.address, port: cluster.apiPort, token })
  stops.push('api', () => api.close())
  mesh.answer(api.server)
  stops.push('mesh', () => mesh.close()) // before the API, whose server would wait for the peers' links to end

  companions.fence.start()
  companions.balancer.start()
  stops.push('companions', () => companions.close())
  await Promise.all([...drivers.values()].map((driver) => driver.adopt()))
  await answering(fence) // a single writer is not started without it, so starting without it only makes noise
  agent.start()
  stops.push('loop', () => agent.stop())

  process.once('SIGTERM', () => end(143))
  process.once('SIGINT', () => end(143))
  const code = await ended
  if (code === 0) {
    door.end()
    companions.end()
  }
  await stops.stop()
  return code
}

const FENCE_WITHIN_MS = 3_000

async function answering(fence: Fence): Promise<void> {
  const deadline = clock.mono() + FENCE_WITHIN_MS
  while (!fence.alive() && clock.mono() < deadline) await sleep(clock, 10)
}

interface Companions {
  readonly fence: Companion
  readonly balancer: Companion
  readonly fenceSocket: string
  readonly balancerSocket: string
  close(): void
  /** Ends the fence; the balancer ends by itself when it has been told to and nothing is open. */
  end(): void
}

function companionsOf(nodeDir: string, tell: (why: string) => void): Companions {
  const script = (path: string) => join(import.meta.dirname, path)
  const companion = (name: string, path: string, socket: string, nodeArgs: string[]) =>
    new Companion({
      name,
      script: script(path),
      args: ['--socket', socket, '--saved', join(nodeDir, `${name}-saved.json`)],
      nodeArgs,
      identityFile: join(nodeDir, `${name}.json`),
      logFile: join(nodeDir, `${name}.log`),
      clock,
      onStart: tell,
    })
  const fenceSocket = socketPath(nodeDir, 'fence.sock')
  const balancerSocket = socketPath(nodeDir, 'balancer.sock')
  const fence = companion('fence', 'fence-process.js', fenceSocket, ['--max-old-space-size=32'])
  const balancer = companion('balancer', '../balancer/main.js', balancerSocket, [])
  return {
    fence,
    balancer,
    fenceSocket,
    balancerSocket,
    close() {
      fence.close()
      balancer.close()
    },
    end() {
      fence.end()
      balancer.end()
    },
  }
}
