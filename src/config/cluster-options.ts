/**
 * The options of a cluster, as types. The first sentence of each comment and its `@default` are also in docs/config.md
 * and in the JSON schema; a test compares them. Options of services stand in service-options.ts and
 * postgres-options.ts.
 */
import type { Traits } from '../core/model.ts'
import type { PresetName } from './presets.ts'

/** A duration: `'250ms'`, `'1s'`, `'1.5m'`, `'2h'`; a bare number is milliseconds. */
export type Duration = string | number

/** A size: `'512MiB'`, `'2GB'`; a bare number is bytes. */
export type Size = string | number

export interface ClusterOptions<Node extends string = string, Service extends string = string> {
  /** What the cluster is called in status, logs and metrics. Lower-case letters, digits and dashes. */
  readonly name: string
  /** The servers, by name. */
  readonly nodes: Readonly<Record<Node, NodeOptions>>
  /** What is kept running, by name: `http({ … })`, `command({ … })` or `postgres({ … })`. */
  readonly services: Readonly<Record<Service, Declaration<string, NoInfer<Service>, NoInfer<Node>>>>
  /**
   * How patient the cluster is, as one word: `lan` for one machine or one site, `wan` for several sites.
   * @default 'lan'
   */
  readonly preset?: PresetName
  /**
   * Single numbers of the preset, changed for the whole cluster.
   * @default the preset's numbers
   */
  readonly timing?: TimingOptions
  /**
   * The road in: what the CLI and dashboards talk to.
   * @default as below
   */
  readonly api?: ApiOptions
}

export interface NodeOptions {
  /**
   * The IPv4 address that this node's agent, balancer and instances listen on.
   * @default 127.0.0.11 for the first node without one, 127.0.0.12 for the next, …
   */
  readonly address?: string
  /**
   * What fails together: a rack, a power feed, a hall. Instances are spread over zones first.
   * @default the node's own name: each node fails alone
   */
  readonly zone?: string
  /**
   * Where in the world the node is.
   * @default 'default'
   */
  readonly region?: string
}

export interface ApiOptions {
  /**
   * The port that every agent serves the API on, at its node's own address.
   * @default 7400
   */
  readonly port?: number
}

/** The defaults of all of these come from the preset; docs/config.md has the numbers. */
export interface TimingOptions extends ServiceTimingOptions {
  /**
   * The time between two heartbeats to each peer.
   * @default 100ms (wan: 500ms)
   */
  readonly heartbeat?: Duration
  /**
   * The shortest silence that makes a peer suspect.
   * @default 300ms (wan: 1.5s)
   */
  readonly suspectFloor?: Duration
  /**
   * The longest silence before a peer is suspect, however unsteady its heartbeats were.
   * @default 600ms (wan: 3s)
   */
  readonly suspectCeiling?: Duration
  /**
   * How long a majority must call a node dead until its instances are placed elsewhere.
   * @default 2s (wan: 10s)
   */
  readonly lostAfter?: Duration
  /**
   * How long the second-best candidate waits for the best one to take a free lease.
   * @default 150ms (wan: 750ms)
   */
  readonly stagger?: Duration
}

/** Written under `timing` they hold for every service, written on a service for that one. */
export interface ServiceTimingOptions {
  /**
   * How long a silent primary may still be running; a successor waits at least this long.
   * @default 2s (wan: 10s)
   */
  readonly lease?: Duration
  /**
   * The time between asking an instance to end and killing it.
   * @default 10s
   */
  readonly grace?: Duration
  /**
   * The time between telling the balancers to send nothing more to an instance and asking it to end.
   * @default 300ms (wan: 1.5s)
   */
  readonly settle?: Duration
  /**
   * How long a fresh instance may take to become healthy.
   * @default 30s
   */
  readonly startWithin?: Duration
  /**
   * How long an instance may be unhealthy before it is replaced.
   * @default 3s (wan: 10s)
   */
  readonly unhealthyFor?: Duration
  /**
   * The time between two health checks.
   * @default 250ms (wan: 1s)
   */
  readonly probeEvery?: Duration
  /**
   * How long one health check may take.
   * @default 250ms (wan: 1s)
   */
  readonly probeTimeout?: Duration
  /**
   * How long a balancer holds a request or connection when no instance can take it, before it gives up.
   * @default 5s (wan: 15s; postgres(): 20s)
   */
  readonly hold?: Duration
}

/**
 * What `http()` and `command()` return: plain frozen data, printable and storable. `Needs` and `Nodes` exist for the
 * compiler only: they let `defineCluster` refuse the name of a service or node that is not there.
 */
export interface Declaration<
  Kind extends string = string,
  Needs extends string = string,
  Nodes extends string = string,
> {
  readonly kind: Kind
  /** What this kind of service can promise and needs; the config that is read computes it again. */
  readonly traits: Traits
  readonly options: { readonly needs?: readonly Needs[]; readonly nodes?: readonly Nodes[] }
}
