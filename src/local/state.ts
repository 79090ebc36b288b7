/**
 * The state folder of a cluster that runs on one machine: what is where, and the few files that are ours. Everything else
 * in it is written by agents, drivers and the store.
 *
 *     .understudy/            0700
 *       cluster.json          the compiled config that agents run with, where it came from, and our version
 *       token                 0600, random, kept over restarts
 *       up.json               who runs `up` on this folder now (claim.ts)
 *       store.db              opened by agents
 *       nodes/NAME/           agent.json, agent.log, balancer.json, fence.json, instances/*.json, logs/*.log
 */
import { randomBytes } from 'node:crypto'
import { accessSync, chmodSync, constants, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Address } from '../client/index.ts'
import type { ClusterSpec, NodeName } from '../core/model.ts'
import { UnderstudyError } from '../errors.ts'
import { readJson, writeFileAtomic } from '../lib/files.ts'

export interface ClusterFile {
  readonly spec: ClusterSpec
  /** Which start of the cluster this is: new when nothing of it ran. A wish to stop is about one run, and ends with it. */
  readonly run: string
  /** Where it was compiled from; undefined when it did not come from a file. */
  readonly configFile?: string
  readonly version: string
}

export class StateFolder {
  readonly path: string

  constructor(path: string) {
    this.path = resolve(path)
  }

  get clusterFile(): string {
    return join(this.path, 'cluster.json')
  }

  get tokenFile(): string {
    return join(this.path, 'token')
  }

  get claimFile(): string {
    return join(this.path, 'up.json')
  }

  get storeFile(): string {
    return join(this.path, 'store.db')
  }

  get upLog(): string {
    return join(this.path, 'up.log')
  }

  node(name: NodeName): string {
    return join(this.path, 'nodes', name)
  }

  /** The nodes that have a folder here: also those that the config no longer names. */
  listNodes(): NodeName[] {
    try {
      return readdirSync(join(this.path, 'nodes'))
    } catch {
      return [] // nothing was ever started here
    }
  }

  /** Makes the folder, for the owner only. Throws UND_STATE_NOT_WRITABLE. */
  create(): void {
    try {
      mkdirSync(join(this.path, 'nodes'), { recursive: true, mode: 0o700 })
      chmodSync(this.path, 0o700) // it may have been there before, with another mode
      accessSync(this.path, constants.W_OK | constants.X_OK)
    } catch (cause) {
      throw notWritable(this.path, cause)
    }
  }

  /** The cluster that is kept here; undefined when there is none. */
  readCluster(): ClusterFile | undefined {
    const file = readJson(this.clusterFile) as ClusterFile | undefined
    return Array.isArray(file?.spec?.nodes) ? file : undefined
  }

  writeCluster(file: ClusterFile): void {
    this.#write(this.clusterFile, `${JSON.stringify(file, null, 2)}\n`)
  }

  readToken(): string | undefined {
    try {
      return readFileSync(this.tokenFile, 'utf8').trim() || undefined
    } catch {
      return undefined // there is no cluster here yet, or it is somebody else's: both mean that we have no token
    }
  }

  /** The token, made now if there is none. */
  keepToken(): string {
    const kept = this.readToken()
    if (kept !== undefined) return kept
    const token = randomBytes(32).toString('base64url')
    this.#write(this.tokenFile, `${token}\n`)
    return token
  }

  #write(path: string, content: string): void {
    try {
      writeFileAtomic(path, content, 0o600)
    } catch (cause) {
      throw notWritable(this.path, cause)
    }
  }
}

/** Where the agents of a cluster serve their API. */
export function apiAddresses(spec: ClusterSpec): Address[] {
  return spec.nodes.map(({ address }) => ({ host: address, port: spec.apiPort }))
}

function notWritable(path: string, cause: unknown): UnderstudyError {
  const reason = cause instanceof Error ? cause.message : String(cause)
  const message = `the state folder ${path} cannot be written (${reason}); name another one with --state DIR`
  return new UnderstudyError('UND_STATE_NOT_WRITABLE', message, { cause })
}
