/**
 * What `postgres()` compiles to: every default filled in, plain JSON. The config room builds the schema of the config
 * and compiles into this type; the driver reads nothing else.
 */
import type { Traits } from '../../core/model.ts'
import type { SessionOptions } from '../../core/replicated/session-counts.ts'
import type { SecretRef } from '../../core/secrets.ts'

// A type and not an interface: only a type may stand where `Record<string, unknown>` is asked for (ServiceSpec.options).
export type PostgresOptions = {
  /** The folder with `postgres` and `initdb`, or `npm` for the packaged ones; null: found by itself (binaries.ts). */
  readonly bin: string | null
  /**
   * The account that it runs as when the agent is root (PostgreSQL refuses root); null: `postgres` if there is one,
   * else `nobody`.
   */
  readonly user: string | null
  /** The server's own port, behind the balancer; null: a free one of 20000-29999, kept while no other program listens there. */
  readonly port: number | null
  /** The data folder, `{node}` in it for the node's name; null: `instances/<service>/data` in the node's state folder. */
  readonly data: string | null
  /** The first replica is an existing database in `data`: adopted, not created. */
  readonly adopt: boolean
  /** Settings of postgresql.conf. Those that safety depends on are refused: server-settings.ts lists them, each with its reason. */
  readonly settings: Readonly<Record<string, string | number | boolean>>
  /** Lines of pg_hba.conf, before the last one (all users with a password). */
  readonly hba: readonly string[]
  /** The certificate of the balancers: the node's own one, none, or the files (absolute paths on each node). */
  readonly tls: TlsChoice
  /** How its balancers move sessions of which something is not known. */
  readonly sessions: SessionOptions
  readonly bootstrap: BootstrapOptions
  readonly timing: PostgresTiming
  readonly limits: PostgresLimits
}

export type TlsChoice = 'own' | 'none' | { readonly cert: string; readonly key: string }

/** Only used once, when the first replica is created out of nothing. */
export type BootstrapOptions = {
  /** A database to make, owned by `owner`. Null: none but `postgres`. */
  readonly database: string | null
  readonly owner: string | null
  readonly password: string | SecretRef | null
  readonly encoding: string
  readonly locale: string
  /**
   * Megabytes of one WAL segment. Default 4. A promotion copies and syncs the segment that the WAL ended in, so a small
   * one makes promotion faster; a very small one (1) makes many files under a heavy write load.
   */
  readonly walSegmentMb: number
}

export type PostgresTiming = {
  /** Between two looks at the server. Default 200. */
  readonly watchEveryMs: number
  /** What one administrative statement may take. Default 2000. */
  readonly statementMs: number
  /** What recruiting may take until it is reported as failed. Default 3000. */
  readonly fenceMs: number
  /** What a promotion may take, replay included. Default 60000. */
  readonly promoteMs: number
  /** How long `promoteReplica` and `changeQuorum` wait for the quorum row. Default 10000; the row goes on being tried. */
  readonly quorumRowMs: number
  /** What a start may take until it answers: crash recovery and replay included. Default 300000. */
  readonly startMs: number
  /** How long a demotion waits for open transactions to end before it is called off. Default 2000. */
  readonly drainMs: number
  /** How long a clean shutdown may wait for standbys to have everything. Default 3000. */
  readonly demoteMs: number
  /** wal_receiver_timeout and wal_sender_timeout. Default 3000. */
  readonly walTimeoutMs: number
  /** How long a receiver may try to connect. Default 2000; below 2 seconds libpq rounds up. */
  readonly connectMs: number
  /** A clone whose source has begun to send and then sends nothing for so long is begun anew. Default 60000. */
  readonly copySilentMs: number
}

export type PostgresLimits = {
  /** WAL kept for replicas without a slot in use. Default 512. */
  readonly walKeepMb: number
  /** The most WAL that the slot of a dead standby may hold back. Default 8192. */
  readonly slotKeepMb: number
  /** Less free space than this on the data's disk is unhealthy. Default 128. */
  readonly freeSpaceMb: number
  /** How many times what a diverged replica had to give up is kept. Default 3. */
  readonly discardedKept: number
  /** The most that is kept of one divergence. Default 1024. */
  readonly discardedMb: number
  /** What the server says goes to a file that is rotated when it is larger than this. Default 16. */
  readonly logMb: number
  /** How many older ones of these files are kept. Default 3. */
  readonly logFiles: number
}

export const POSTGRES_DEFAULTS = {
  bin: null,
  user: null,
  port: null,
  data: null,
  adopt: false,
  settings: {},
  hba: [],
  tls: 'own',
  sessions: { customSettings: [], trustedFunctions: [], whenUnknown: 'close' },
  bootstrap: {
    database: null,
    owner: null,
    password: null,
    encoding: 'UTF8',
    locale: 'C.UTF-8',
    walSegmentMb: 4,
  },
  timing: {
    watchEveryMs: 200,
    statementMs: 2_000,
    fenceMs: 3_000,
    promoteMs: 60_000,
    quorumRowMs: 10_000,
    startMs: 300_000,
    drainMs: 2_000,
    demoteMs: 3_000,
    walTimeoutMs: 3_000,
    connectMs: 2_000,
    copySilentMs: 60_000,
  },
  limits: {
    walKeepMb: 512,
    slotKeepMb: 8_192,
    freeSpaceMb: 128,
    discardedKept: 3,
    discardedMb: 1_024,
    logMb: 16,
    logFiles: 3,
  },
} as const satisfies PostgresOptions

/**
 * No single writer in the core's sense: that trait means a lease, and a primary that a quorum of its standbys can fence
 * needs none. It can acknowledge nothing when they stop receiving, whatever it believes itself.
 */
export function postgresTraits(): Traits {
  return { singleWriter: false, replicates: true, reportsPosition: true, canRewind: true }
}
