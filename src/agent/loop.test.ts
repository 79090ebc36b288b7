/**
 * What an agent hears and says while it still gets ready. Links come up when they like, and what is said on one is said
 * once: what is lost here, an operator never reads.
 */
import { expect, test } from 'vitest'
import { cluster, web } from '../../test/made-up.ts'
import type { EventRecord } from '../api/api-types.ts'
import { unwritten } from '../core/config-record.ts'
import type { NodeName } from '../core/model.ts'
import { VirtualClock } from '../lib/virtual-clock.ts'
import { Gate } from '../sim/gate.ts'
import { newBooks, SimDriver } from '../sim/sim-driver.ts'
import { Processes } from '../sim/sim-processes.ts'
import { MemoryCluster } from '../stores/memory.ts'
import type { Mesh, Message } from './agent-ports.ts'
import { DriverSet } from './driver-set.ts'
import { Agent } from './loop.ts'

/** A mesh of which the test is the other end. */
class HandMesh implements Mesh {
  readonly said: Message[] = []
  readonly #hearers = new Set<(from: NodeName, message: Message) => void>()
  readonly #linkers = new Set<(peer: NodeName) => void>()

  meet(): void {}

  broadcast(message: Message): void {
    this.said.push(message)
  }

  onMessage(listener: (from: NodeName, message: Message) => void) {
    this.#hearers.add(listener)
    return () => void this.#hearers.delete(listener)
  }

  onLink(listener: (peer: NodeName) => void) {
    this.#linkers.add(listener)
    return () => void this.#linkers.delete(listener)
  }

  hear(from: NodeName, message: Message): void {
    for (const listener of this.#hearers) listener(from, message)
  }

  linkUp(peer: NodeName): void {
    for (const listener of this.#linkers) listener(peer)
  }
}

function newAgent() {
  const clock = new VirtualClock(1_000)
  const mesh = new HandMesh()
  const random = () => 0.5
  const processes = new Processes({ node: 'a', clock, random, watcher: { changed: () => undefined } })
  const books = newBooks(20_000)
  const driver = new SimDriver({ service: web(), processes, books, gate: new Gate(clock), clock, random })
  const drivers = new DriverSet({ create: () => driver, notAdopted: () => undefined })
  const agent = new Agent({
    config: unwritten(cluster([web()]), { run: 'run' }),
    self: 'a',
    run: 'run',
    startsAtOnce: () => 2,
    onExit: () => undefined,
    world: {
      clock,
      mesh,
      store: new MemoryCluster({ clock }).open(),
      drivers,
      keepConfig: () => undefined,
      fence: { arm: async () => undefined, disarm: async () => undefined },
      balancer: {
        open: [],
        leaving: [],
        holding: [],
        still: [],
        ready: [],
        ahead: [],
        sessions: [],
        leadsTo: () => true,
        publish: () => undefined,
      },
      remember: () => undefined,
      pids: () => ({ agent: 1, balancer: 2, fence: 3 }),
    },
  })
  return { agent, clock, mesh, processes, books, drivers }
}

const PAST: EventRecord = {
  id: 'b-1',
  at: '2026-01-01T00:00:00.000Z',
  node: 'b',
  service: 'web',
  rule: 'instance-down',
  kind: 'noticed',
  why: 'web on b is down',
}

test('what is told to it before it is ready is kept', async () => {
  const { agent, clock, mesh } = newAgent()
  mesh.hear('b', { kind: 'history', events: [PAST], receipts: [] })
  mesh.hear('b', { kind: 'event', event: { ...PAST, id: 'b-2' } })
  agent.start()
  await clock.advance(100)
  expect(agent.journal.events().map(({ id }) => id)).toEqual(expect.arrayContaining(['b-1', 'b-2']))
  await agent.stop()
})

test('a peer that was linked before it was ready hears its past', async () => {
  const { agent, clock, mesh } = newAgent()
  mesh.linkUp('b')
  agent.journal.recall([{ ...PAST, node: 'a', id: 'a-1' }], [])
  agent.start()
  await clock.advance(100)
  const told = mesh.said.flatMap((message) => (message.kind === 'history' ? message.events : []))
  expect(told.map(({ id }) => id)).toContain('a-1')
  await agent.stop()
})

test('it says nothing of its instances before it has looked', async () => {
  const { agent, clock, mesh, processes, books, drivers } = newAgent()
  // The agent before it started this, and this one does not know yet.
  const process = processes.spawn(web(), 'active', 0)
  processes.open(process)
  books.identity = process.identity
  mesh.linkUp('b')
  await drivers.begin([web()])
  agent.start()
  mesh.linkUp('c')
  await clock.advance(100)
  const states = mesh.said.flatMap((message) => (message.kind === 'report' ? message.report.instances : []))
  expect(states.length).toBeGreaterThan(0)
  expect(states.map(({ state }) => state)).not.toContain('stopped')
  await agent.stop()
})
