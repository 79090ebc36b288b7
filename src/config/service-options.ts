/** The options of a service, as types. See cluster-options.ts for how the comments are held to the docs. */
import type { Redundancy } from '../core/model.ts'
import type { SecretRef } from '../core/secrets.ts'
import type { Duration, ServiceTimingOptions, Size } from './cluster-options.ts'

/** A string is run by `/bin/sh -c`; a list of words is run as it stands, without a shell. */
export type RunOption = string | readonly string[]

/** What every kind of service has. */
export interface ServiceOptions<Needs extends string = string, Nodes extends string = string>
  extends ServiceTimingOptions {
  /**
   * How many instances run, each on a node of its own.
   * @default 2, or 1 when the service may use one node only
   */
  readonly instances?: number
  /**
   * Whether every instance serves (`active-active`), or one serves and the others stand by (`active-passive`).
   * @default 'active-active'
   */
  readonly redundancy?: Redundancy
  /**
   * Services that must be healthy before an instance of this one is first started.
   * @default none
   */
  readonly needs?: readonly Needs[]
  /**
   * The only nodes that this service may use.
   * @default all
   */
  readonly nodes?: readonly Nodes[]
  /**
   * What this service is expected to survive; drills and receipts measure against it.
   * @default none
   */
  readonly objectives?: ObjectiveOptions
  /**
   * How its instances are replaced when the config changes or a restart is asked for: in turns, a primary last.
   * @default one at a time
   */
  readonly update?: UpdateOption
}

export interface UpdateOption {
  /**
   * How many instances may be down for it at a time.
   * @default 1
   */
  readonly atOnce?: number
  /**
   * How long a new instance must be healthy before the next one is replaced.
   * @default '10s'
   */
  readonly pause?: Duration
  /**
   * What happens when a new instance fails: the others stay as they are (`stop`), or the service gets the config before as well (`rollback`).
   * @default 'stop'
   */
  readonly onFailure?: 'stop' | 'rollback'
}

export interface ObjectiveOptions {
  /**
   * The longest acceptable time from a fault until the service is back.
   * @default none
   */
  readonly rto?: Duration
  /**
   * How many acknowledged writes may be lost.
   * @default none
   */
  readonly rpo?: number
}

/** What a service has that runs as processes: `http()` and `command()`. */
export interface ProcessServiceOptions<Needs extends string = string, Nodes extends string = string>
  extends ServiceOptions<Needs, Nodes> {
  /** The program to run: a line for `/bin/sh -c`, or a list of words that is run without a shell. */
  readonly run: RunOption
  /**
   * The folder to run it in; a relative one starts at the config file's folder.
   * @default the config file's folder
   */
  readonly cwd?: string
  /**
   * Environment variables for it, on top of the agent's own.
   * @default none
   */
  readonly env?: Readonly<Record<string, string | SecretRef>>
  /**
   * Secrets that it reads from files: each variable names the path of a file that holds the value.
   * @default none
   */
  readonly secretFiles?: Readonly<Record<string, SecretRef>>
  /**
   * Who it runs as: the name or number of a user. Needs an agent that runs as root.
   * @default the user that runs the agent
   */
  readonly user?: string | number
  /**
   * The port that the program itself listens on, told to it as `PORT` beside `HOST`.
   * @default a free one from 20000 to 29999, for each instance
   */
  readonly port?: number
  /**
   * Whether standbys run before they are needed (`warm`) or are started then (`cold`).
   * @default 'cold'
   */
  readonly standby?: 'cold' | 'warm'
  /**
   * How a warm standby is told that it is the primary now: by a signal, or by a POST to a path of its own.
   * @default only the file that `UNDERSTUDY_TERM_FILE` names tells it
   */
  readonly promote?: PromoteOption
  /**
   * The signal that asks it to end.
   * @default 'SIGTERM'
   */
  readonly stopSignal?: StopSignal
  /**
   * What the kernel refuses to let one process of it exceed.
   * @default what the agent itself has
   */
  readonly limits?: LimitOptions
  /**
   * How much of its output is kept.
   * @default as below
   */
  readonly log?: LogOptions
}

/** A web service that every node's balancer serves on `listen`. */
export interface HttpOptions<Needs extends string = string, Nodes extends string = string>
  extends ProcessServiceOptions<Needs, Nodes> {
  /** The port that clients connect to, the same on every node. */
  readonly listen: number
  /**
   * The path that is asked to find out whether an instance is healthy: 2xx and 3xx are, anything else is not.
   * @default '/'
   */
  readonly healthy?: string
  /**
   * How the path is asked, and a further check by a program, which must pass as well.
   * @default as below
   */
  readonly check?: HttpCheckOption
  /**
   * The limits that balancers keep for its requests.
   * @default as below
   */
  readonly endpoint?: HttpEndpointOptions
}

/** Any other program. */
export interface CommandOptions<Needs extends string = string, Nodes extends string = string>
  extends ProcessServiceOptions<Needs, Nodes> {
  /**
   * The port that clients connect to over TCP, the same on every node; without it the service has no endpoint.
   * @default none
   */
  readonly listen?: number
  /**
   * How to find out whether an instance is healthy; all that is given must pass.
   * @default an instance is healthy when it runs
   */
  readonly check?: CheckOption
  /**
   * The limits that balancers keep for its connections.
   * @default as below
   */
  readonly endpoint?: TcpEndpointOptions
}

/** What balancers allow the requests of `http()`. */
export interface HttpEndpointOptions {
  /**
   * How many requests one balancer has open at one instance; further ones wait for `hold`, then get 503.
   * @default 4096
   */
  readonly maxRequests?: number
  /**
   * How many upgraded connections (WebSockets) and event streams one balancer has open at one instance.
   * @default 16384
   */
  readonly maxStreams?: number
  /**
   * How long the head of a request may take to arrive.
   * @default 10s
   */
  readonly headTimeout?: Duration
  /**
   * How long the body of a request may stand still, while an instance waits for more of it; then 408.
   * @default 60s
   */
  readonly bodyTimeout?: Duration
  /**
   * How long an instance that has the whole request may take to begin its answer; then 504, its fate unknown.
   * @default 60s
   */
  readonly answerTimeout?: Duration
  /**
   * How long an answer under way, or an upgraded connection, may be silent in both directions; then it is cut.
   * @default 1h
   */
  readonly streamTimeout?: Duration
}

/** What balancers allow the connections of `command()`. */
export interface TcpEndpointOptions {
  /**
   * How many connections one balancer has open at one instance; further ones wait for `hold`, then are reset.
   * @default 16384
   */
  readonly maxConnections?: number
  /**
   * How long a connection may be silent in both directions; then it is cut.
   * @default none
   */
  readonly idleTimeout?: Duration
}

/** One status, a range such as `'200-299'`, or a list of both. */
export type StatusOption = number | string | readonly (number | string)[]

export interface HttpCheckOption {
  /**
   * A program run beside the instance, with its environment; exit code 0 is healthy.
   * @default none
   */
  readonly exec?: RunOption
  /**
   * The statuses that are healthy when a path is asked; redirects are not followed.
   * @default '200-399'
   */
  readonly status?: StatusOption
  /**
   * Headers sent when a path is asked, on top of `Host` (address and port), `User-Agent` and `Accept`, or in their place.
   * @default none
   */
  readonly headers?: Readonly<Record<string, string>>
}

export interface CheckOption extends HttpCheckOption {
  /**
   * A path asked at the instance's own HOST and PORT; 2xx and 3xx are healthy.
   * @default none
   */
  readonly http?: string
  /**
   * Whether the path is asked over HTTPS, the hook of `promote` too. The certificate is not verified without `ca`.
   * @default false
   */
  readonly https?: boolean
  /**
   * The name that is asked for in the TLS handshake (SNI), and that a verified certificate must hold.
   * @default none, and the node's address
   */
  readonly servername?: string
  /**
   * A PEM file on every node: the certificate must be signed by an authority in it, or be in it itself.
   * @default any certificate is good
   */
  readonly ca?: string
}

export interface PromoteOption {
  /**
   * The signal sent to the instance's process group.
   * @default none
   */
  readonly signal?: PromoteSignal
  /**
   * The path that gets a POST of `{"role":"primary","term":7}`; a 2xx answer means that it was understood.
   * @default none
   */
  readonly http?: string
}

export interface LimitOptions {
  /**
   * How many files and sockets it may have open (`ulimit -n`).
   * @default what the agent itself has
   */
  readonly openFiles?: number
  /**
   * How much address space it may reserve (`ulimit -v`); programs reserve far more than they use, Node.js some GiB.
   * @default what the agent itself has
   */
  readonly memory?: Size
  /**
   * How much processor time it may use over its whole life (`ulimit -t`), in whole seconds.
   * @default what the agent itself has
   */
  readonly cpuTime?: Duration
}

export interface LogOptions {
  /**
   * How large a log may grow before a new one is begun.
   * @default 10MiB
   */
  readonly size?: Size
  /**
   * How many earlier logs are kept.
   * @default 3
   */
  readonly files?: number
}

export type StopSignal = 'SIGTERM' | 'SIGINT' | 'SIGQUIT' | 'SIGHUP' | 'SIGUSR1' | 'SIGUSR2' | 'SIGWINCH'
export type PromoteSignal = 'SIGHUP' | 'SIGUSR1' | 'SIGUSR2' | 'SIGWINCH'
