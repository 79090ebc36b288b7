/**
 * An agent is started where another one was killed, and the single writer lives on. The order is what counts: the fence has a
 * later deadline before the new agent has even written down that it is there, so however long the rest of its start takes,
 * nothing is killed for it. The fence is played by this test.
 *
 * Exercises: agent, stores, local. Engines: none. Fast.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { compileCluster } from '../../src/config/compile.ts'
import { unwritten } from '../../src/core/config-record.ts'
import { command, defineCluster } from '../../src/index.ts'
import { assert } from '../../src/lib/assert.ts'
import { bootId } from '../../src/lib/boot.ts'
import { systemClock as clock } from '../../src/lib/clock.ts'
import { LineReader } from '../../src/lib/json-lines.ts'
import { identify, type ProcessIdentity } from '../../src/lib/proc.ts'
import { StateFolder } from '../../src/local/cluster-folder.ts'
import { stopLocal } from '../../src/local/end-cluster.ts'
import { openEmbeddedStore } from '../../src/stores/embedded/open.ts'
import { until } from './process-place.ts'

const CLI = join(import.meta.dirname, '../../dist/cli/main.js')
/** Long enough for any machine: what is judged is the order. */
const LEASE_MS = 60_000

let folder: string
let state: StateFolder
let fence: Server | undefined
const children: ChildProcess[] = []

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'und-restart-'))
  state = new StateFolder(folder)
  state.create()
})
afterEach(async () => {
  for (const child of children) child.kill('SIGKILL')
  await stopLocal(folder, { withinMs: 0 })
  fence?.close()
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
})

function start(file: string, ...args: string[]): ProcessIdentity {
  const child = spawn(file, args, { detached: true, stdio: 'ignore' })
  children.push(child)
  const identity = child.pid === undefined ? undefined : identify(child.pid)
  assert(identity, 'it runs')
  return identity
}

/** What an agent that was killed leaves behind: a lead in the store, a writer that runs, files that name both. */
async function leaveBehind(writer: ProcessIdentity): Promise<void> {
  const worker = command({ run: 'sleep 1000', redundancy: 'active-passive', instances: 1 })
  const nodes = { a: { address: `127.${100 + Math.floor(Math.random() * 100)}.3.11` } }
  const { spec } = compileCluster(defineCluster({ name: 'restart', nodes, services: { worker } }))
  state.writeCluster({ config: unwritten(spec, { run: 'one' }), run: 'one', version: 'test' })
  state.keepToken()
  const store = await openEmbeddedStore({ path: state.storeFile, clock, random: Math.random })
  const lease = await store.acquire(LEASE_MS)
  const lead = { node: 'a', term: 1, lease, ttlMs: LEASE_MS }
  const primary = { term: 1, primary: 'a' }
  await store.swap([], [{ key: 'service/worker', value: primary }])
  await store.swap([], [{ key: 'lead/worker', value: lead, lease }])
  await store.close()
  const nodeDir = state.node('a')
  mkdirSync(join(nodeDir, 'instances'), { recursive: true })
  const known = { role: 'primary', term: 1, told: true, port: 1, startedAtMono: 0, wasHealthy: true }
  const rest = { failures: 0, retryAtMono: 0, note: '' }
  const record = { bootId: bootId(), phase: 'open', identity: writer, ...known, ...rest }
  writeFileSync(join(nodeDir, 'instances', 'worker.json'), JSON.stringify(record))
  writeFileSync(join(nodeDir, 'agent.json'), JSON.stringify({ pid: 999_999, startTime: 1 }))
}

/** Acknowledges everything; `armed` is called with each arming before it is acknowledged. */
function playFence(armed: (arm: { pid: number; killAtMono: number }) => void): Promise<void> {
  const server = createServer((socket) => {
    const reader = new LineReader()
    socket.on('error', () => undefined)
    socket.on('data', (chunk) => {
      for (const line of reader.feed(chunk)) {
        const { id, arm } = line as { id: number; arm?: { pid: number; killAtMono: number } }
        if (arm) armed(arm)
        socket.write(`${JSON.stringify({ id, ok: true, armed: [] })}\n`)
      }
    })
  })
  fence = server
  return new Promise((resolve) => server.listen(join(state.node('a'), 'fence.sock'), resolve))
}

test('the fence hears a later deadline before the new agent does anything else', async () => {
  const writer = start('sleep', '1000')
  await leaveBehind(writer)
  const heard: { agent: number; pid: number; killAtMono: number }[] = []
  const agentFile = join(state.node('a'), 'agent.json')
  await playFence((arm) => {
    const { pid: agent } = JSON.parse(readFileSync(agentFile, 'utf8')) as { pid: number }
    heard.push({ agent, ...arm })
  })
  const startedAt = clock.mono()
  const agent = start(process.execPath, CLI, 'agent', '--node', 'a', '--state', folder)
  await until('the agent is there and has armed for itself', () => heard.some((one) => one.agent === agent.pid))
  const [first] = heard
  expect(first).toMatchObject({ agent: 999_999, pid: writer.pid })
  expect(first?.killAtMono).toBeGreaterThan(startedAt + LEASE_MS - 1_000)
})
