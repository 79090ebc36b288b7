/**
 * What `http()` and `command()` compile to: every default filled in, plain JSON. The config room builds the schema of
 * the config and compiles into this type; the driver reads nothing else.
 *
 * Both kinds are one driver. They differ in what the config compiles (an `http` service has a path to check) and in
 * nothing that happens here.
 */
import type { Redundancy, Traits } from '../../core/model.ts'
import type { SecretRef } from '../../core/secrets.ts'
import type { HttpQuestion } from '../../lib/http-question.ts'

/** A string is run by `/bin/sh -c`; a list of words is run as it stands, without a shell. */
export type Run = string | readonly string[]

// A type and not an interface: only a type may stand where `Record<string, unknown>` is asked for (ServiceSpec.options).
export type ProcessOptions = {
  readonly run: Run
  /** Absolute. By default the folder of the config file. */
  readonly cwd: string
  /** Added to the agent's own environment; wins over it, loses against the variables that the driver sets (PORT, …). */
  readonly env: Readonly<Record<string, string | SecretRef>>
  /** Variables that each name the path of a file with the value of a secret. Absent: none. */
  readonly secretFiles?: Readonly<Record<string, SecretRef>>
  /**
   * Whom it runs as: a name or a number; null is the user that runs the agent. Needs an agent that runs as root. It gets all
   * groups of that user (as-account.ts).
   */
  readonly user: string | number | null
  /** How it is asked to end. Default SIGTERM. Sent to the whole process group (spawn.ts says why). */
  readonly stopSignal: NodeJS.Signals
  readonly limits: ProcessLimits
  /** A fixed port, the same on every node; null: one is chosen from 20000-29999 (instance-port.ts). */
  readonly port: number | null
  readonly health: HealthOptions
  /** How a running standby is told that it is the primary now; null: only the file UNDERSTUDY_TERM_FILE says so. */
  readonly promote: PromoteOptions | null
  /** The log is rotated when it is larger than this. Default 10 MiB. */
  readonly logBytes: number
  /** How many rotated logs are kept (`.1` is the youngest). Default 3; 0 keeps none. */
  readonly logFiles: number
}

/** What `ulimit` can honestly hold for one process; limits for a whole group need cgroups, which this does not use. */
export type ProcessLimits = {
  /** `ulimit -n`: open files and sockets. */
  readonly openFiles?: number
  /** `ulimit -v`: address space, not memory in use. Node reserves far more than it uses: some GiB are normal for it. */
  readonly memoryBytes?: number
  /** `ulimit -t`: processor seconds over its whole life; then the kernel kills it. */
  readonly cpuSeconds?: number
}

/** Every check that is there must pass. With none, a process is healthy when it runs (health.ts says what that means). */
export type HealthOptions = {
  /** GET this path on the instance's own HOST:PORT; 2xx and 3xx are healthy, or what `asks` says. */
  readonly http: string | null
  /** How it is asked. The core passes it on to balancers, which ask the same (core/routing.ts). */
  readonly asks?: Omit<HttpQuestion, 'path'>
  /** Run this beside the instance, with its environment; exit code 0 is healthy. */
  readonly exec: Run | null
}

export type PromoteOptions =
  | { readonly signal: NodeJS.Signals }
  /** POST `{"role":"primary","term":7}` to this path on the instance's own HOST:PORT, over TLS if health is asked so; 2xx: it was told. */
  | { readonly http: string }

export const PROCESS_DEFAULTS = {
  stopSignal: 'SIGTERM',
  logBytes: 10 * 1024 * 1024,
  logFiles: 3,
} as const

/**
 * A plain process has no data that a quorum could fence, so with one primary it is a single writer: its successor starts
 * only when it is certainly dead.
 */
export function processTraits(redundancy: Redundancy): Traits {
  return {
    singleWriter: redundancy === 'active-passive',
    replicates: false,
    reportsPosition: false,
    canRewind: false,
  }
}
