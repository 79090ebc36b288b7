/** The options of a PostgreSQL database, as types. See cluster-options.ts for how the comments are held to the docs. */
import type { SecretRef } from '../core/secrets.ts'
import type { Size } from './cluster-options.ts'
import type { ServiceOptions } from './service-options.ts'

/** A PostgreSQL database: one instance is the primary, the others are its standbys, and no acknowledged write is lost with any of them. */
export interface PostgresOptions<Needs extends string = string, Nodes extends string = string>
  extends Omit<ServiceOptions<Needs, Nodes>, 'instances' | 'redundancy'> {
  /** How many nodes hold a replica of the data; one of them is the primary. */
  readonly instances: number
  /** The port at which every node routes clients to the primary. */
  readonly listen: number
  /**
   * The port at which every node routes clients to a standby, for reading.
   * @default none
   */
  readonly listenStandby?: number
  /**
   * How much of the primary's WAL a standby may lack and still be given reads at `listenStandby`.
   * @default 16MiB
   */
  readonly maxLag?: Size
  /**
   * How many standbys must have a write on their disk before it is acknowledged.
   * @default half of the instances, rounded down: 1 of 3, 2 of 5
   */
  readonly sync?: number
  /**
   * What happens when no standby is left: writes wait (`block`), or go on with one replica only (`run-alone`).
   * @default 'block'; with 2 instances it must be written
   */
  readonly degrade?: 'block' | 'run-alone'
  /**
   * A database and its owner, created once, together with the first replica.
   * @default none but `postgres`
   */
  readonly database?: PostgresDatabaseOption
  /**
   * Settings of postgresql.conf.
   * @default PostgreSQL's own
   */
  readonly settings?: Readonly<Record<string, string | number | boolean>>
  /**
   * Lines of pg_hba.conf, before the last one, which admits every client with a password.
   * @default none
   */
  readonly hba?: readonly string[]
  /**
   * The certificate with which the endpoints speak TLS to clients: two PEM files on every node, or none.
   * @default each node makes one for itself and keeps it in its state folder
   */
  readonly tls?: false | { readonly cert: string; readonly key: string }
  /**
   * How sessions are moved to another server when something of them is not known.
   * @default as below
   */
  readonly sessions?: PostgresSessionOptions
  /**
   * The folder with PostgreSQL's programs, version 13 to 18; `npm` is the packaged one.
   * @default the newest of this machine, else the packaged one
   */
  readonly bin?: string
  /**
   * The data folder; a relative one starts at the config file's folder. `{node}` in it stands for the node's name.
   * @default in the node's state folder
   */
  readonly data?: string
  /**
   * The first replica is the existing database in `data`, which may be running: it is taken over.
   * @default false
   */
  readonly adopt?: boolean
  /**
   * Who it runs as when agents are root, which PostgreSQL refuses to run as.
   * @default `postgres` if there is such a user, else `nobody`
   */
  readonly user?: string
  /**
   * The port of the server itself, behind the endpoint.
   * @default a free one from 20000 to 29999, kept while no other program listens there
   */
  readonly port?: number
  /**
   * How much disk may be used, and how much must be left.
   * @default as below
   */
  readonly limits?: PostgresLimitOptions
}

export interface PostgresDatabaseOption {
  /** What the database is called. */
  readonly name: string
  /** The role that owns it and may log in. */
  readonly owner: string
  /** The password of the owner: a secret, or text. */
  readonly password: string | SecretRef
}

export interface PostgresSessionOptions {
  /**
   * Custom settings of which no statement and no function shows the name.
   * @default none
   */
  readonly customSettings?: readonly string[]
  /**
   * Functions that leave nothing behind in a session, although their bodies do not show it.
   * @default none
   */
  readonly trustedFunctions?: readonly string[]
  /**
   * What becomes of a session when part of its state cannot be known: `close` it (57P01), or `move` it with what is known.
   * @default 'close'
   */
  readonly whenUnknown?: 'close' | 'move'
}

export interface PostgresLimitOptions {
  /**
   * How much WAL is kept for a replica that returns after a short absence.
   * @default 512MiB
   */
  readonly keptLog?: Size
  /**
   * The most WAL that an absent replica may hold back on the disk of the primary.
   * @default 8GiB
   */
  readonly heldLog?: Size
  /**
   * Less free space than this on the data's disk is unhealthy.
   * @default 128MiB
   */
  readonly freeSpace?: Size
}
