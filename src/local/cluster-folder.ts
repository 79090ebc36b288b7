/**
 * The state folder of a cluster that runs on one machine: what is where, and the few files that are ours. Everything else
 * in it is written by agents, drivers and the store.
 *
 *     .understudy/            0700; 0710 where a server that runs as another user passes through
 *       cluster.json          the config that agents act on, where it came from, and our version
 *       token                 0600, random, kept over restarts
 *       secrets.key           0600, random, made with the first secret
 *       up.json               who runs `up` on this folder now (up-claim.ts)
 *       store.db              opened by agents
 *       nodes/NAME/           agent.json, agent.log, balancer.json, fence.json, instances/*.json, logs/*.log
 */
import { randomBytes } from 'node:crypto'
import { accessSync, chmodSync, constants, mkdirSync, readdirSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import type { Address } from '../client/index.ts'
import { type ConfigSource, unwritten } from '../core/config-record.ts'
import type { ClusterSpec, NodeName } from '../core/model.ts'
import type { ConfigRecord } from '../core/records.ts'
import { UnderstudyError } from '../errors.ts'
import { isAbsent, readJson, readText, unreadable, writeFileAtomic } from '../lib/files.ts'

export interface ClusterFile {
  /** The newest that an agent of this machine acts on; its number is 0 until it is written in the store. */
  readonly config: ConfigRecord
  /** The config as it holds: what is in `config`, for those who need no more. */
  readonly spec: ClusterSpec
  /** The text that it was compiled from, as long as the store does not have it. */
  readonly source?: ConfigSource
  /** Which start of the cluster this is: new when nothing of it ran. A wish to stop is about one run, and ends with it. */
  readonly run: string
  /** Where it was compiled from; undefined when it did not come from a file. */
  readonly configFile?: string
  readonly version: string
}

/** 32 random bytes in base64url. */
const TOKEN = /^[\w-]{43}\n?$/

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

  get secretsKeyFile(): string {
    return join(this.path, 'secrets.key')
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
    } catch (error) {
      if (isAbsent(error)) return [] // nothing was ever started here
      throw unreadable(join(this.path, 'nodes'), (error as Error).message, error)
    }
  }

  /** Throws UND_STATE_NOT_WRITABLE when the folder could not be made or written to. Changes nothing. */
  refuseUnlessWritable(): void {
    for (let folder = this.path; ; folder = dirname(folder)) {
      try {
        accessSync(folder, constants.W_OK | constants.X_OK)
        if (statSync(folder).isDirectory()) return
        throw new Error(`${folder} is not a folder`)
      } catch (cause) {
        if (!isAbsent(cause) || dirname(folder) === folder) throw notWritable(this.path, cause)
      }
    }
  }

  /**
   * Makes the folder, for the owner only. One that was there before is closed to others, and its group may at most pass through
   * it: that is how servers which run as another user get to their data (drivers/postgres/files/replica-folder.ts). Throws
   * UND_STATE_NOT_WRITABLE.
   */
  create(): void {
    try {
      mkdirSync(join(this.path, 'nodes'), { recursive: true, mode: 0o700 })
      const mode = statSync(this.path).mode & 0o7777
      const closed = (mode & 0o710) | 0o700
      if (mode !== closed) chmodSync(this.path, closed)
      accessSync(this.path, constants.W_OK | constants.X_OK)
    } catch (cause) {
      throw notWritable(this.path, cause)
    }
  }

  /** The cluster that is kept here; undefined when there is none. Throws UND_STATE_UNREADABLE. */
  readCluster(): ClusterFile | undefined {
    const file = readJson(this.clusterFile) as Partial<ClusterFile> | null | undefined
    if (file === undefined) return undefined
    const { run, version = '', spec, config } = file ?? {}
    if (typeof run === 'string' && config === undefined && Array.isArray(spec?.nodes))
      return { ...file, run, version, spec, config: unwritten(spec, { run }) } // as the version before wrote it
    if (typeof run === 'string' && Array.isArray(config?.spec?.nodes))
      return { ...file, run, version, config, spec: config.spec }
    throw unreadable(this.clusterFile, 'it is damaged: it holds no cluster')
  }

  /** With `spec`, which is all that the version before reads; this one believes `config`. */
  writeCluster(file: Omit<ClusterFile, 'spec'>): void {
    this.#write(this.clusterFile, `${JSON.stringify({ spec: file.config.spec, ...file }, null, 2)}\n`)
  }

  /** An agent acts on a newer config of the same run. Said by every agent of this machine: only the first says news. */
  keepConfig(config: ConfigRecord): void {
    const kept = this.readCluster()
    if (
      !kept ||
      kept.run !== config.run ||
      isDeepStrictEqual(kept.config, config) ||
      kept.config.number > config.number
    )
      return
    const { source: _, spec: __, ...rest } = kept
    this.writeCluster({ ...rest, config })
  }

  /** Undefined when there is none. Throws UND_STATE_UNREADABLE: another token would make other passwords of everything. */
  readToken(): string | undefined {
    const text = readText(this.tokenFile)
    if (text === undefined || TOKEN.test(text)) return text?.trim()
    throw unreadable(this.tokenFile, 'it is damaged: it does not hold the 43 characters of a token')
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
