/** What the driver of a made-up database says of it: what it last saw, with what the record on the disk holds. */
import type { InstanceReport, ServiceName, ServiceSpec } from '../../core/model.ts'
import type { Position, ReplicaReport, Rule } from '../../core/replica.ts'
import { mayReceive } from './disk.ts'
import { positionAt } from './log.ts'
import type { DatabaseServer } from './server.ts'

/** What a look at a running server saw. */
export interface Sight {
  readonly inRecovery: boolean
  readonly position: Position | null
  readonly replayLag: number
  readonly streaming: ReplicaReport['streaming']
  readonly receives: boolean
}

/** What the driver itself keeps in mind. */
export interface Known
  extends Pick<
    InstanceReport,
    'state' | 'stateForMs' | 'health' | 'healthForMs' | 'note' | 'failures' | 'retryInMs' | 'port'
  > {
  readonly sight: Sight | null
  /** Undefined: not fenced. Null: fenced, without data. */
  readonly fenced: Position | null | undefined
  /** The newest rule whose row is on its quorum. */
  readonly durable: Rule | null
}

/** For people and decisions an entry is so many bytes. */
const ENTRY_BYTES = 1_000

export function reportOf(service: ServiceName, server: DatabaseServer, known: Known): InstanceReport {
  const { sight, fenced: _, durable: __, ...own } = known
  const { leading } = server.disk.record
  const running = known.state === 'running' || known.state === 'stopping'
  const leads = running && sight?.inRecovery === false
  const process = running ? server.process : null
  return {
    ...own,
    service,
    role: !running ? 'none' : leads ? 'primary' : 'standby',
    health: running ? known.health : 'unknown',
    hung: running && server.isFrozen && known.health === 'unhealthy',
    term: leads || !running ? (leading?.term ?? 0) : 0,
    retryInMs: running ? 0 : known.retryInMs,
    ...(process && { pid: process.identity.pid, startTime: process.identity.startTime }),
    replica: replicaOf(server, known, leads),
  }
}

function replicaOf(server: DatabaseServer, { sight, fenced, durable }: Known, leads: boolean): ReplicaReport {
  const { pledged, following, leading, quarantinedUntil, suspect } = server.disk.record
  return {
    pledged,
    fenced: fenced !== undefined,
    position: fenced !== undefined ? fenced : (sight?.position ?? null),
    replayLagBytes: (sight?.replayLag ?? 0) * ENTRY_BYTES,
    rule: leads && leading !== null ? durable : null,
    ruleDurable: leads && leading !== null && server.open,
    streaming: leads ? (sight?.streaming ?? []) : [],
    receivingFrom: sight?.receives && mayReceive(server.disk.record) ? (following?.node ?? null) : null,
    quarantined: quarantinedUntil !== null,
    diverged: suspect,
  }
}

export function sightOf(server: DatabaseServer): Sight {
  const { disk, replay } = server
  const here = server.inRecovery ? Math.max(server.received ?? 0, replay.replayed) : disk.log.length
  return {
    inRecovery: server.inRecovery,
    position: positionAt(disk.log, here),
    replayLag: server.inRecovery ? here - replay.replayed : 0,
    streaming: server.senders.streaming.map(({ node, lag }) => ({ node, lagBytes: lag * ENTRY_BYTES })),
    receives: server.receiver?.streaming === true,
  }
}

/** A write that is committed through a fresh connection, or on a standby a read: done here by looking at the effect. */
export function feelingOf(
  server: DatabaseServer,
  { name, timing }: ServiceSpec,
): [health: InstanceReport['health'], note?: string] {
  if (server.isFrozen) return ['unhealthy', 'stopped by a signal (SIGSTOP)']
  if (server.parts.processes.habitsOf(name).unwell) return ['unhealthy', 'the probe does not come back']
  if (server.senders.waitsForMs > timing.probeTimeoutMs) return ['unhealthy', 'commits wait for their quorum']
  return ['healthy']
}
