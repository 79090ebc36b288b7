/**
 * The supervisor of agents, with fake agents that are real processes.
 *
 * Exercises: local. Engines: none.
 */
import { spawn } from 'node:child_process'
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { connect, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ClusterSpec, NodeSpec, ServiceSpec } from '../../src/core/model.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { groupIsAlive, identify, isAlive, signalGroup } from '../../src/lib/proc.ts'
import { StateFolder } from '../../src/local/cluster-folder.ts'
import { stopLocal } from '../../src/local/end-cluster.ts'
import type { LocalEvent } from '../../src/local/local-node.ts'
import { findAgent, findProcesses } from '../../src/local/node-processes.ts'
import { type LocalCluster, type LocalOptions, startLocal } from '../../src/local/start-cluster.ts'
import { killEverything, whatIsLeft } from '../../src/local/stop-cluster.ts'
import { claimHolder } from '../../src/local/up-claim.ts'

const FAKE_AGENT = new URL('../fake-agent.mjs', import.meta.url).pathname
const WAIT = { timeout: 10_000, interval: 10 }

let state: StateFolder
let clusters: LocalCluster[]
let servers: Server[]
let strangers: number[]
let events: LocalEvent[]
let spec: ClusterSpec

beforeEach(async () => {
  state = new StateFolder(join(mkdtempSync(join(tmpdir(), 'understudy-local-')), '.understudy'))
  clusters = []
  servers = []
  strangers = []
  events = []
  spec = specOf(await freePort(), await freePort())
})

afterEach(async () => {
  for (const cluster of clusters) cluster.letGo()
  for (const server of servers) server.close()
  for (const group of strangers) signalGroup(group, 'SIGKILL')
  await killEverything(state, systemClock)
  rmSync(join(state.path, '..'), { recursive: true, force: true })
})

async function start(how = 'well', options: Partial<LocalOptions> = {}): Promise<LocalCluster> {
  const cluster = await startLocal({
    spec,
    stateDir: state.path,
    version: '0.0.0',
    agentCommand: (node, stateDir) => [process.execPath, FAKE_AGENT, node, stateDir, how],
    onEvent: (event) => events.push(event),
    ...options,
  })
  clusters.push(cluster)
  return cluster
}

/** Every node has its agent, its balancer and its instance. */
async function allUp(): Promise<void> {
  await expect
    .poll(() => spec.nodes.map(({ name }) => namesOn(name)), WAIT)
    .toEqual(spec.nodes.map(() => 'agent balancer web'))
}

function namesOn(node: string): string {
  return findProcesses(state.node(node))
    .map(({ what }) => what)
    .join(' ')
}

function pidsOn(node: string): number[] {
  return findProcesses(state.node(node)).map(({ identity }) => identity.pid)
}

function killAgentOf(node: string): void {
  const agent = findAgent(state.node(node))
  if (!agent) throw new Error(`an agent runs on ${node}`)
  process.kill(agent.pid, 'SIGKILL')
}

function told(what: LocalEvent['what'], node?: string): LocalEvent[] {
  return events.filter((event) => event.what === what && (node === undefined || event.node === node))
}

describe('starting', () => {
  it('starts an agent for each node, and keeps the folder to its owner', async () => {
    const cluster = await start()
    await allUp()
    expect(statSync(state.path).mode & 0o777).toBe(0o700)
    expect(statSync(state.tokenFile).mode & 0o777).toBe(0o600)
    expect(state.readCluster()).toMatchObject({ spec, version: '0.0.0', run: expect.stringMatching(/^[0-9a-f]{16}$/) })
    expect(cluster.nodes.get('a')?.phase).toBe('running')
    expect(told('agent-started')).toHaveLength(2)
  })

  it('refuses a second one and harms nothing', async () => {
    await start()
    await allUp()
    const before = spec.nodes.map(({ name }) => pidsOn(name))
    await expect(start()).rejects.toMatchObject({ code: 'UND_ALREADY_RUNNING' })
    expect(spec.nodes.map(({ name }) => pidsOn(name))).toEqual(before)
    expect(claimHolder(state.claimFile)?.pid).toBe(process.pid)
  })

  it('takes over from a holder that is gone, also when its pid is another program’s now', async () => {
    state.create()
    const startTime = (identify(process.pid)?.startTime ?? 0) - 1
    writeFileSync(state.claimFile, JSON.stringify({ pid: process.pid, startTime }))
    await start()
    expect(claimHolder(state.claimFile)).toEqual(identify(process.pid))
  })

  it('says which endpoints are taken, all at once, before it starts anything', async () => {
    const balancer = spec.services[0]?.endpoints[0]?.port ?? 0
    for (const { address } of spec.nodes) await listen(address, balancer)
    const refused = start()
    await expect(refused).rejects.toMatchObject({ code: 'UND_PORT_TAKEN' })
    await expect(refused).rejects.toThrow(
      new RegExp(`127.0.0.1:${balancer} .*web on node a.*127.0.0.2:${balancer} .*web on node b`, 's'),
    )
    expect([events, claimHolder(state.claimFile)]).toEqual([[], undefined])
  })

  it('says that an address belongs to another machine', async () => {
    spec = { ...spec, nodes: [{ name: 'far', address: '192.0.2.7', zone: 'z', region: 'r' }] }
    await expect(start()).rejects.toMatchObject({
      code: 'UND_ADDRESS_NOT_LOCAL',
      message: expect.stringContaining('far (192.0.2.7)'),
    })
  })

  it.skipIf(process.getuid?.() === 0)('says that the folder cannot be written', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'understudy-read-only-'))
    chmodSync(folder, 0o500)
    await expect(start('well', { stateDir: join(folder, 'state') })).rejects.toMatchObject({
      code: 'UND_STATE_NOT_WRITABLE',
    })
    rmSync(folder, { recursive: true })
  })

  it('says that the folder is no folder', async () => {
    const file = join(state.path, '..', 'file')
    writeFileSync(file, '')
    await expect(start('well', { stateDir: file })).rejects.toMatchObject({ code: 'UND_STATE_NOT_WRITABLE' })
  })
})

describe('looking after agents', () => {
  it('starts a killed agent again at once; what it had started goes on', async () => {
    const cluster = await start()
    await allUp()
    const [agent, ...others] = pidsOn('a')
    expect(cluster.killAgent('a')).toBe(true)
    await expect.poll(() => told('agent-started', 'a'), WAIT).toHaveLength(2)
    await allUp()
    expect(pidsOn('a').slice(1)).toEqual(others)
    expect(pidsOn('a')[0]).not.toBe(agent)
    expect(told('agent-died', 'a')[0]?.why).toBe('its agent ended with SIGKILL; it is started again at once')
  })

  it('waits longer each time when an agent dies for ever, and repeats what it said last', async () => {
    await start('dies')
    await expect.poll(() => told('agent-died', 'a').length, WAIT).toBeGreaterThanOrEqual(4)
    const pauses = told('agent-died', 'a').map(({ why }) => /again (at once|in \d+ ms)/.exec(why)?.[1])
    expect(pauses.slice(0, 4)).toEqual(['at once', 'in 200 ms', 'in 400 ms', 'in 800 ms'])
    expect(told('agent-died', 'a')[0]?.why).toContain('exit code 3')
    expect(told('agent-died', 'a')[0]?.why).toContain('it said: cannot go on: the fake is broken on purpose')
  })

  it('says that an agent cannot be run at all', async () => {
    await start('well', { agentCommand: () => ['/nonexistent/agent'] })
    await expect
      .poll(() => told('agent-died', 'b')[0]?.why, WAIT)
      .toContain('could not be started: spawn /nonexistent/agent ENOENT')
  })

  it('takes over what an earlier one left, and hears of its death like of any other', async () => {
    const first = await start()
    await allUp()
    const before = pidsOn('a')
    const run = state.readCluster()?.run
    // The balancer of an earlier start listens on the door: that is no reason to refuse.
    const { address } = spec.nodes[0] as NodeSpec
    await expect.poll(() => canConnect(address, spec.services[0]?.endpoints[0]?.port ?? 0), WAIT).toBe(true)
    first.letGo()
    events = []
    const second = await start()
    expect(told('agent-adopted')).toHaveLength(2)
    expect(pidsOn('a')).toEqual(before)
    expect(state.readCluster()?.run).toBe(run)
    second.killAgent('a')
    await expect.poll(() => told('agent-started', 'a'), WAIT).toHaveLength(1)
    await allUp()
  })

  it('kills agents that were only just started, and have not said who they are', async () => {
    const mute = [process.execPath, '-e', 'setInterval(() => {}, 1_000)']
    const cluster = await start('well', { agentCommand: () => mute })
    const started = events.flatMap(({ what, pid }) => (what === 'agent-started' && pid !== null ? [pid] : []))
    strangers.push(...started)
    expect((await cluster.kill()).map(({ identity }) => identity.pid).sort()).toEqual(started.sort())
    expect(started.filter((pid) => identify(pid) !== undefined)).toEqual([])
  })

  it('loses a node at once and whole, the children of its instances included', async () => {
    const cluster = await start()
    await allUp()
    const [, , web] = pidsOn('a')
    const before = pidsOn('b')
    // The leader of the group is gone already; what it had started is still there and must be found.
    process.kill(web as number, 'SIGKILL')
    await expect.poll(() => identify(web as number), WAIT).toBeUndefined()
    const killed = await cluster.killNode('a')
    expect(killed.map(({ what }) => what)).toEqual(expect.arrayContaining(['agent', 'balancer', 'web']))
    expect([namesOn('a'), groupIsAlive(web as number), pidsOn('b')]).toEqual(['', false, before])
    expect(cluster.nodes.get('a')?.phase).toBe('down')
    cluster.startNode('a')
    await allUp()
  })
})

describe('another config', () => {
  it('is refused while something of the old one runs', async () => {
    const cluster = await start()
    await allUp()
    cluster.letGo()
    spec = { ...spec, timing: { ...spec.timing, heartbeatMs: 999 } }
    await expect(start()).rejects.toMatchObject({
      code: 'UND_REFUSED',
      message: expect.stringContaining('change it with “understudy apply”'),
    })
    expect(claimHolder(state.claimFile)).toBeUndefined()
  })

  it('is taken when nothing runs, as a run of its own; the token stays', async () => {
    const cluster = await start()
    await allUp()
    await cluster.stop()
    const { run } = state.readCluster() ?? {}
    const token = state.readToken()
    rmSync(join(state.path, 'stop-wish'))
    spec = { ...spec, timing: { ...spec.timing, heartbeatMs: 999 } }
    await start()
    expect(state.readCluster()?.spec.timing.heartbeatMs).toBe(999)
    expect(state.readCluster()?.run).not.toBe(run)
    expect(state.readToken()).toBe(token)
  })
})

describe('a config that the agents have agreed on meanwhile', () => {
  it('gets an agent for a node that it adds, and none any more for one that it no longer names', async () => {
    const cluster = await start()
    await allUp()
    const kept = state.readCluster()
    const [first] = spec.nodes
    if (!kept || !first) throw new Error('a cluster runs')
    const added: NodeSpec = { ...first, name: 'late', address: '127.0.0.77' }
    const hold = (nodes: readonly NodeSpec[], leaving: readonly NodeSpec[] = []) => {
      const { config } = kept
      state.writeCluster({
        ...kept,
        config: { ...config, number: config.number + 1, spec: { ...config.spec, nodes }, leaving },
      })
    }
    hold([...spec.nodes, added])
    await expect.poll(() => namesOn('late'), WAIT).toBe('agent balancer web')
    expect(cluster.spec.nodes.map(({ name }) => name)).toContain('late')
    hold(spec.nodes, [added]) // on its way out: still looked after
    killAgentOf('late')
    await expect.poll(() => told('agent-started', 'late'), WAIT).toHaveLength(2)
    await expect.poll(() => namesOn('late'), WAIT).toBe('agent balancer web')
    hold(spec.nodes)
    killAgentOf('late')
    await expect.poll(() => cluster.nodes.has('late'), WAIT).toBe(false)
    expect(findAgent(state.node('late'))).toBeUndefined()
    expect(namesOn('late')).toBe('balancer web')
    expect(await cluster.stop()).toMatchObject({ told: true, killed: [] })
    expect(whatIsLeft(state)).toEqual([])
  })
})

describe('stopping', () => {
  it('tells the agents, who end everything; nothing has to be killed', async () => {
    const cluster = await start()
    await allUp()
    const report = await cluster.stop()
    expect(report).toEqual({ told: true, why: '', killed: [] })
    expect([whatIsLeft(state), existsSync(state.claimFile)]).toEqual([[], false])
  })

  it('kills what does not end in time, and says what that was', async () => {
    const cluster = await start('deaf')
    await allUp()
    const left: number[] = []
    const report = await cluster.stop({ withinMs: 200, onLeft: (processes) => left.push(processes.length) })
    expect(report.told).toBe(true)
    expect(report.killed.map(({ node, what }) => `${node} ${what}`).sort()).toEqual([
      'a agent',
      'a balancer',
      'a web',
      'b agent',
      'b balancer',
      'b web',
    ])
    expect([left[0], left.at(-1), whatIsLeft(state)]).toEqual([6, 0, []])
  })

  it('ends what agents left behind, politely, when there is no agent to tell', async () => {
    const cluster = await start()
    await allUp()
    cluster.letGo()
    for (const { name } of spec.nodes) process.kill(findAgent(state.node(name))?.pid as number, 'SIGKILL')
    const report = await stopLocal(state.path)
    expect(report).toEqual({ told: false, why: 'no agent was running', killed: [] })
    expect(whatIsLeft(state)).toEqual([])
  })

  it('says that nothing ran', async () => {
    expect(await stopLocal(state.path)).toBeUndefined()
  })

  it('first has the supervisor of the agents let go', async () => {
    const cluster = await start()
    await allUp()
    cluster.letGo()
    // A process that holds the claim and does not listen: it must not keep us from stopping.
    const holder = stranger('trap "" USR2; echo deaf; while :; do sleep 0.1; done')
    await new Promise((resolve) => holder.stdout.once('data', resolve))
    const identity = identify(holder.pid as number)
    writeFileSync(state.claimFile, JSON.stringify(identity))
    const report = await stopLocal(state.path)
    expect(report).toMatchObject({ told: true, killed: [] })
    expect(identity && isAlive(identity)).toBe(false)
  })

  it('notices that another command stopped it', async () => {
    const cluster = await start()
    await allUp()
    await cluster.client.stopCluster()
    await cluster.ended
    expect(told('agent-ended')).toHaveLength(2)
    expect(told('agent-died')).toHaveLength(0)
  })

  it('does not take an adopted agent that left on purpose for a dead one', async () => {
    const first = await start()
    await allUp()
    first.letGo()
    events = []
    const second = await start()
    await second.client.stopCluster()
    await second.ended
    expect(told('agent-died')).toHaveLength(0)
  })
})

describe('identity files that lie', () => {
  it('never lead to a stranger', async () => {
    const cluster = await start()
    await allUp()
    // Another cluster's instance of a service of the same name, which got the pid that one of ours had.
    const pid = stranger('sleep 1000 & wait', { UNDERSTUDY_SERVICE: 'other-start' }).pid as number
    const { startTime } = identify(pid) as { startTime: number }
    for (const [file, identity] of [
      ['other-start.json', { pid, startTime: startTime - 1 }],
      ['everybody.json', { pid: -1, startTime }],
      ['ourselves.json', { pid: 0, startTime }],
      ['init.json', { pid: 1, startTime: 0 }],
    ] as const) {
      writeFileSync(join(state.node('a'), 'instances', file), JSON.stringify({ identity }))
    }
    writeFileSync(join(state.node('a'), 'instances', 'half.json'), '{"identity": {"pi')
    appendFileSync(join(state.node('a'), 'instances', 'empty.json'), '')
    await cluster.killNode('a')
    expect(groupIsAlive(pid)).toBe(true)
    expect(readFileSync(join(state.node('a'), 'agent.log'), 'utf8')).toBe('')
  })
})

/** A process that is no part of the cluster, with a group of its own. */
function stranger(script: string, variables: Record<string, string> = {}) {
  const env = { ...process.env, ...variables }
  const child = spawn('/bin/sh', ['-c', script], { detached: true, env, stdio: ['ignore', 'pipe', 'ignore'] })
  strangers.push(child.pid as number)
  return child
}

function specOf(apiPort: number, balancer: number): ClusterSpec {
  const timing = { leaseMs: 1_000, graceMs: 500, settleMs: 0, startWithinMs: 1_000, unhealthyForMs: 1_000 }
  const web: ServiceSpec = {
    name: 'web',
    kind: 'http',
    redundancy: 'active-active',
    instances: 2,
    traits: { singleWriter: false, replicates: false, reportsPosition: false, canRewind: false },
    standby: 'cold',
    needs: [],
    nodes: [],
    endpoints: [{ purpose: 'serving', protocol: 'http', port: balancer }],
    timing: { ...timing, probeEveryMs: 100, probeTimeoutMs: 100, holdMs: 100 },
    objectives: {},
    options: {},
  }
  return {
    name: 'shop',
    store: { kind: 'embedded' },
    apiPort,
    nodes: ['a', 'b'].map((name, index) => ({ name, address: `127.0.0.${index + 1}`, zone: name, region: 'default' })),
    services: [web],
    timing: { heartbeatMs: 100, suspectFloorMs: 300, suspectCeilingMs: 600, lostAfterMs: 3_000, staggerMs: 100 },
  }
}

/** Free on every loopback address, at this moment. */
async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}

function canConnect(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, host)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

async function listen(host: string, port: number): Promise<void> {
  const server = createServer()
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(port, host, resolve))
}
