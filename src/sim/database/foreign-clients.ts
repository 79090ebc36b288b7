/**
 * Clients of a simulated database that break its rules. Each repeats its request while it is there, and the answers
 * show which promise holds for it:
 *
 * - an impostor streams under the name of a standby and confirms all that it is sent, and keeps nothing (trap 6). It
 *   has an account of its own and not the replication password, so it must never be accepted: the quorum counts names;
 * - a hasty writer asks to be answered before any standby has its write (trap 12). Its answer is no promise: what
 *   becomes of the write is counted, and nothing else depends on it;
 * - a reader of a standby sees what is not acknowledged yet and may vanish (trap 13), but never an inconsistent
 *   replica;
 * - a stale reader sits beside one server and reads from it for as long as that calls itself primary, and at the same
 *   time through the balancer of its node (trap 14). The server may show what is old; the balancer must not route to it
 *   when its node has heard of a newer term.
 */
import type { NodeName, ServiceName } from '../../core/model.ts'
import { recordOf } from '../../core/view.ts'
import { assertNever } from '../../lib/assert.ts'
import type { StrangerKind } from '../fault-schedule.ts'
import type { World } from '../sim-world.ts'
import type { DatabaseServer } from './database-server.ts'
import { letsReadersIn } from './disk.ts'
import type { Ledger } from './ledger.ts'
import type { Stream } from './senders.ts'
import type { Entry } from './wal-model.ts'

const IMPOSTOR_EVERY_MS = 50
const ASKS_EVERY_MS = 20
/** A table is made a moment after its agent has heard of a term. */
const BALANCER_KNOWS_AFTER_MS = 500

interface Place {
  readonly world: World
  readonly node: NodeName
  readonly service: ServiceName
  readonly server: DatabaseServer
  readonly ledger: Ledger
}

/** Returns what ends it; undefined when there is no such replica. */
export function letIn(
  world: World,
  { kind, node, service }: { readonly kind: StrangerKind; readonly node: NodeName; readonly service: ServiceName },
): (() => void) | undefined {
  const server = world.node(node).databases.get(service)
  const ledger = world.ledgers.get(service)
  if (!server || !ledger) return undefined
  const place = { world, node, service, server, ledger }
  switch (kind) {
    case 'impostor':
      return impostor(place)
    case 'hasty writer':
      return again(world, ASKS_EVERY_MS, () => server.write((entry) => ledger.early(entry), true))
    case 'standby reader':
      return again(world, ASKS_EVERY_MS, () => readStandby(place))
    case 'stale reader':
      return staleReader(place)
    default:
      return assertNever(kind)
  }
}

function again(world: World, everyMs: number, act: () => void): () => void {
  let isHere = true
  const tick = () => {
    if (!isHere) return
    act()
    world.clock.after(everyMs, tick)
  }
  tick()
  return () => {
    isHere = false
  }
}

/** It has no disk and no server: it says that it has what it was sent. */
class Impostor implements Stream {
  readonly #place: Place
  readonly #from: DatabaseServer
  isLetIn = false

  constructor(place: Place, from: DatabaseServer) {
    this.#place = place
    this.#from = from
    const { log } = from.disk
    const request = { name: place.node, length: log.length, timeline: log.at(-1)?.timeline ?? 0, hasPassword: false }
    this.#tell(() => from.senders.connect(place.node, this, request))
  }

  answered(taken: boolean): void {
    this.isLetIn = taken
  }

  take(at: number, entries: readonly Entry[]): void {
    this.#tell(() => this.#from.senders.flushed(this, at + entries.length))
  }

  lost(): void {
    this.isLetIn = false
  }

  go(): void {
    if (this.isLetIn) this.#tell(() => this.#from.senders.gone(this))
  }

  #tell(what: () => void): void {
    const { world, node } = this.#place
    world.network.converse(node, this.#from.parts.node, () => this.#from.gate.deliver(what))
  }
}

function impostor(place: Place): () => void {
  const { world, node, service } = place
  const streams = new Map<NodeName, Impostor>()
  const leave = again(world, IMPOSTOR_EVERY_MS, () => {
    for (const [other, { databases }] of world.nodes) {
      const from = databases.get(service)
      const leads = from?.runs && !from.inRecovery && other !== node
      if (leads && !streams.get(other)?.isLetIn) streams.set(other, new Impostor(place, from))
    }
  })
  return () => {
    leave()
    for (const stream of streams.values()) stream.go()
  }
}

function readStandby({ world, node, service, server, ledger }: Place): void {
  if (!server.runs || server.isFrozen || !server.inRecovery || !letsReadersIn(server.disk.record)) return
  const { disk, replay } = server
  const shown = replay.replayed
  if (shown < disk.soundFrom && disk.wasSound) return // it is not consistent yet, and says so
  if (shown < disk.soundFrom)
    world.broken(`${service} on ${node} was read after a rewind, ${disk.soundFrom - shown} entries too early`)
  ledger.seen(disk.log[shown - 1])
}

function staleReader(place: Place): () => void {
  const { world } = place
  const balancer = new BalancerReader(place)
  return again(world, ASKS_EVERY_MS, () => {
    readPrimary(place, place.server)
    balancer.read()
  })
}

function readPrimary({ ledger }: Place, server: DatabaseServer): void {
  const { leading } = server.disk.record
  if (!server.open || server.draining || server.isFrozen || server.inRecovery || leading === null) return
  ledger.read(server.parts.node, leading.term, server.disk.log)
}

/** Through the balancer of a node: to where its newest table routes. */
class BalancerReader {
  readonly #place: Place
  #wrongSince: number | undefined

  constructor(place: Place) {
    this.#place = place
  }

  read(): void {
    const { world, node, service } = this.#place
    const { route, agentPid } = world.truth.routeOf(node, service) ?? {}
    const target = route?.readOnly === null ? route.targets.find(({ state }) => state === 'serving') : undefined
    const server = target && world.node(target.node).databases.get(service)
    if (!target || !server) return this.#isRight()
    // A new agent knows little: until it has heard all peers the balancer keeps the table of the one before.
    if (agentPid === world.node(node).agentPid) this.#compare(target.node, target.term)
    else this.#isRight()
    if (world.network.isOpen(node, target.node) && world.network.isOpen(target.node, node))
      readPrimary(this.#place, server)
  }

  /** The balancer itself, which remembers the highest term of any table, is not in these worlds: the table must do. */
  #compare(to: NodeName, term: number): void {
    const { world, node, service } = this.#place
    const { agent, agentState } = world.node(node)
    const heard = agent && agentState === 'running' ? recordOf(agent.view, service).term : 0
    if (term >= heard) return this.#isRight()
    this.#wrongSince ??= world.nowMs
    if (world.nowMs - this.#wrongSince < BALANCER_KNOWS_AFTER_MS) return
    world.broken(
      `the balancer of ${node} leads to ${service} on ${to} in term ${term}, and ${node} has heard of term ${heard}`,
    )
    this.#isRight()
  }

  #isRight(): void {
    this.#wrongSince = undefined
  }
}
