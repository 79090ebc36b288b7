/**
 * What this node knows of the others: their heartbeats, their last reports, and what they say of each other. The judging
 * is core/suspicion.ts; this file only keeps the pieces together.
 *
 * A node is condemned when more than half of the observers that this node can hear (itself included) call it silent, and
 * lost when that has lasted for `lostAfterMs`. An observer that cannot be heard has no voice: otherwise the last node
 * standing could never conclude anything.
 */
import type { ClusterSpec, InstanceReport, NodeName, NodeReport, ServiceName } from '../core/model.ts'
import { firstSuspicion, heard, isCondemned, isSuspect, LATE_MS, type Suspicion } from '../core/suspicion.ts'
import type { PeerFacts } from '../core/view.ts'
import { mayMatter } from './report-news.ts'

/** Reports are said again every second: after three of them, an incarnation that is lower is a clock that was set back. */
const OVERTAKEN_MS = 3_000

interface Peer {
  suspicion: Suspicion
  everHeard: boolean
  suspects: readonly NodeName[]
  abstains: boolean
  report: NodeReport | null
  reportedAt: number
  suspectSince: { readonly mono: number; readonly wall: number } | null
  condemnedSince: number | null
}

export class Peers {
  #cluster: ClusterSpec
  readonly #self: NodeName
  readonly #peers = new Map<NodeName, Peer>()
  /** The config that took a service out: what was reported before is of no service that there is now. */
  #removed: readonly ServiceName[] = []
  readonly #removedIn = new Map<ServiceName, number>()

  constructor(cluster: ClusterSpec, self: NodeName, now: number) {
    this.#cluster = cluster
    this.#self = self
    this.fit(cluster, now)
  }

  /** The nodes of another config: what is known of those that stay is kept. */
  fit(cluster: ClusterSpec, now: number): void {
    this.#cluster = cluster
    const others = cluster.nodes.filter(({ name }) => name !== this.#self).map(({ name }) => name)
    for (const name of this.#peers.keys()) if (!others.includes(name)) this.#peers.delete(name)
    for (const name of others) if (!this.#peers.has(name)) this.#peers.set(name, strangerAt(cluster, now))
  }

  /** Services that a config took out. What is reported of them by nodes that do not know it yet would be taken for a new one's. */
  forget(services: readonly ServiceName[], config: number): void {
    const removed = services.filter((name) => !this.#removed.includes(name))
    this.#removed = services
    for (const name of removed) this.#removedIn.set(name, config)
    if (removed.length > 0)
      for (const peer of this.#peers.values()) peer.report = peer.report && this.#ofPresent(peer.report)
  }

  #ofPresent(report: NodeReport): NodeReport {
    const { config = 0, instances } = report
    const present = instances.filter(({ service }) => config >= (this.#removedIn.get(service) ?? 0))
    return present.length === instances.length ? report : { ...report, instances: present }
  }

  beat(from: NodeName, suspects: readonly NodeName[], abstains: boolean, now: number): void {
    const peer = this.#peers.get(from)
    if (!peer) return // a node that this config does not know has no voice
    peer.suspicion = peer.suspectSince ? { ...firstSuspicion(this.#cluster.timing, now) } : heard(peer.suspicion, now)
    peer.everHeard = true
    peer.suspects = suspects
    peer.abstains = abstains
  }

  /** Takes a report; false when nothing can be decided otherwise by it than by the last one. */
  report(from: NodeName, said: NodeReport, now: number): boolean {
    const peer = this.#peers.get(from)
    if (!peer) return false
    const report = this.#ofPresent(said)
    // From an agent that has died since. But not for long: a wall clock that was set back must not silence a new agent.
    const isOlder = peer.report !== null && report.incarnation < peer.report.incarnation
    if (isOlder && now - peer.reportedAt < OVERTAKEN_MS) return false
    const matters = peer.report === null || mayMatter(peer.report, report)
    peer.report = report
    peer.reportedAt = now
    return matters
  }

  /** Judges every peer anew. `ownLagMs`: how late this node's own event loop was lately. */
  judge(now: number, wall: number, ownLagMs: number): void {
    for (const peer of this.#peers.values()) {
      const silent = isSuspect(peer.suspicion, this.#cluster.timing, now, ownLagMs)
      peer.suspectSince = silent ? (peer.suspectSince ?? { mono: now, wall }) : null
    }
    for (const [name, peer] of this.#peers) {
      const already = peer.condemnedSince !== null
      const condemned = peer.suspectSince !== null && isCondemned(this.#wordsOn(name, ownLagMs), already)
      peer.condemnedSince = condemned ? (peer.condemnedSince ?? now) : null
    }
  }

  /** Whom this node calls silent: what it tells the others with each heartbeat. */
  suspects(): NodeName[] {
    const suspects: NodeName[] = []
    for (const [name, peer] of this.#peers) if (peer.suspectSince !== null) suspects.push(name)
    return suspects
  }

  /** Wall clock at which the silence of a node was noticed here; null when it is not silent. For receipts. */
  silentSince(name: NodeName): number | null {
    return this.#peers.get(name)?.suspectSince?.wall ?? null
  }

  facts(now: number): Record<NodeName, PeerFacts> {
    const facts: Record<NodeName, PeerFacts> = {}
    for (const [name, peer] of this.#peers) facts[name] = this.#factsOf(peer, now)
    return facts
  }

  #factsOf(peer: Peer, now: number): PeerFacts {
    return {
      state: this.#stateOf(peer, now),
      heardAgoMs: now - peer.suspicion.lastHeardAt,
      report: peer.report && aged(peer.report, now - peer.reportedAt),
    }
  }

  #stateOf(peer: Peer, now: number): PeerFacts['state'] {
    if (peer.condemnedSince !== null && now - peer.condemnedSince >= this.#cluster.timing.lostAfterMs) return 'lost'
    if (!peer.everHeard) return 'unknown'
    if (peer.condemnedSince !== null) return 'condemned'
    return peer.suspectSince === null ? 'alive' : 'suspect'
  }

  /** One word per observer that can be heard: this node's own, then those of its living peers. */
  #wordsOn(accused: NodeName, ownLagMs: number): (boolean | null)[] {
    const own = ownLagMs > LATE_MS ? null : true
    const others = [...this.#peers].filter(
      ([name, peer]) => name !== accused && peer.everHeard && peer.suspectSince === null,
    )
    return [own, ...others.map(([, peer]) => (peer.abstains ? null : peer.suspects.includes(accused)))]
  }
}

function strangerAt(cluster: ClusterSpec, now: number): Peer {
  return {
    suspicion: firstSuspicion(cluster.timing, now),
    everHeard: false,
    suspects: [],
    abstains: false,
    report: null,
    reportedAt: now,
    suspectSince: null,
    condemnedSince: null,
  }
}

/** A report speaks of the moment it was sent; its ages go on growing here, its waits go on shrinking. */
function aged(report: NodeReport, ageMs: number): NodeReport {
  if (ageMs === 0) return report
  return { ...report, instances: report.instances.map((instance) => agedInstance(instance, ageMs)) }
}

function agedInstance(instance: InstanceReport, ageMs: number): InstanceReport {
  return {
    ...instance,
    healthForMs: instance.healthForMs + ageMs,
    stateForMs: instance.stateForMs + ageMs,
    retryInMs: Math.max(0, instance.retryInMs - ageMs),
  }
}
