/** What one node keeps of a database when nothing runs: the WAL, the server's settings, and its driver's record. */
import type { NodeName } from '../../core/model.ts'
import type { QuorumConfig } from '../../core/replicated/quorum-config.ts'
import type { Log } from './wal-model.ts'

export interface Disk {
  log: Log
  /** Replay begins here after a start. */
  checkpoint: number
  /** The WAL before this entry was removed: a standby that needs it has to be cloned again (trap 23). */
  keptFrom: number
  /**
   * The standbys for which this node holds WAL back. Slots are not a part of the WAL: a promotion does not bring them
   * along.
   */
  slots: Set<NodeName>
  /** Is there any data? */
  hasData: boolean
  /** A server that finds this starts in recovery. */
  standbySignal: boolean
  /** Settings as they stand in the files: what runs may not have read them yet. */
  readonly settings: {
    receiveFrom: NodeName | null
    /** A foreign restore_command: whose WAL lies in the archive that it reads (trap 5). */
    restoreFrom: readonly NodeName[]
    standbys: readonly NodeName[]
    k: number
  }
  record: DurableRecord
  full: boolean
  /** By the world's truth: a rewound replica is inconsistent before it has so much. */
  soundFrom: number
  /** It had so much once. From then on PostgreSQL itself refuses all clients, after a restart, before it has so much again. */
  wasSound: boolean
  /** What a receiver wrote is safe after so long, and lost with the power before that. */
  flushMs: number
  /** The node whose password a receiver has to connect with. Without it none can, with whatever settings it was started. */
  key: NodeName | null
  readonly ailments: Ailments
}

/** What is wrong with one replica for a while: each is a trap of promoting PostgreSQL (docs/safety.md). */
export interface Ailments {
  /** A receiver that is told to end takes seconds: it hangs in a connect, or waits for the disk (trap 4). */
  stuckReceiver: boolean
  /** A receiver that was decided on starts late, with the settings of then (trap 2). */
  lateReceiver: boolean
  /** The first checkpoint after a promotion takes long, and before it a rewind finds nothing to do (trap 21). */
  slowCheckpoint: boolean
  /** Rewinds fail (trap 22). */
  failingRewind: boolean
  /** For a moment after its start a primary does not wait for any standby, and acknowledges all the same (trap 11). */
  hastyStart: boolean
}

export const NO_AILMENTS: Ailments = {
  stuckReceiver: false,
  lateReceiver: false,
  slowCheckpoint: false,
  failingRewind: false,
  hastyStart: false,
}

export const FLUSH_MS = 0.4

/** As in the driver of PostgreSQL: what must not be forgotten, durable before anything is done because of it. */
export interface DurableRecord {
  readonly pledged: number
  readonly following: { readonly term: number; readonly node: NodeName } | null
  /** What it leads under, or was about to; null: it leads nothing. */
  readonly leading: QuorumConfig | null
  /** It was primary until it was fenced, and may hold unacknowledged writes. */
  readonly suspect: boolean
  /** Rewound or cloned: it counts when it has replayed so much. */
  readonly quarantinedUntil: number | null
}

export function newDisk(): Disk {
  return {
    log: [],
    checkpoint: 0,
    keptFrom: 0,
    slots: new Set(),
    hasData: false,
    standbySignal: true,
    settings: { receiveFrom: null, restoreFrom: [], standbys: [], k: 0 },
    record: { pledged: 0, following: null, leading: null, suspect: false, quarantinedUntil: null },
    full: false,
    soundFrom: 0,
    wasSound: true,
    flushMs: FLUSH_MS,
    key: null,
    ailments: { ...NO_AILMENTS },
  }
}

export function mayReceive({ following, pledged }: DurableRecord): boolean {
  return following !== null && following.term >= pledged
}

/**
 * May clients read what a standby shows? Not while it may hold unacknowledged writes, and not before a rewound or
 * cloned one is consistent: as pg_hba.conf of the real driver (drivers/postgres/files/hba.ts).
 */
export function letsReadersIn({ leading, suspect, quarantinedUntil }: DurableRecord): boolean {
  return leading === null && !suspect && quarantinedUntil === null
}
