/** Which cluster a command is about: its state folder, and the road into it. */
import { existsSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { type Client, connect } from '../client/index.ts'
import type { ClusterSpec } from '../core/model.ts'
import { UnderstudyError } from '../errors.ts'
import { nearest } from '../lib/nearest.ts'
import { apiAddresses, StateFolder } from '../local/cluster-folder.ts'
import type { Io } from './io.ts'

const FOLDER = '.understudy'

/** What every command takes. */
export interface CommonOptions {
  readonly state?: string
  readonly json?: boolean
}

export interface Session {
  readonly state: StateFolder
  readonly spec: ClusterSpec
  readonly client: Client
}

/** --state, else UNDERSTUDY_STATE, else the nearest `.understudy` here or in a folder above, else the one to be made here. */
export function stateFolder(io: Io, options: CommonOptions): StateFolder {
  const named = options.state ?? io.env.UNDERSTUDY_STATE
  return new StateFolder(named ? resolve(io.cwd, named) : (findAbove(io.cwd) ?? join(io.cwd, FOLDER)))
}

/** Throws UND_NOT_RUNNING when nothing was ever started from that folder. */
export function openSession(io: Io, options: CommonOptions): Session {
  const state = stateFolder(io, options)
  const spec = state.readCluster()?.spec
  const token = state.readToken()
  if (!spec || !token) {
    const message = `no cluster was started from ${state.path}; name its folder with --state DIR`
    throw new UnderstudyError('UND_NOT_RUNNING', message)
  }
  return { state, spec, client: connect({ addresses: apiAddresses(spec), token }) }
}

/** Throws UND_UNKNOWN_SERVICE, with the names that there are. */
export function mustKnowService({ spec }: Pick<Session, 'spec'>, name: string): void {
  const known = spec.services.map((service) => service.name)
  if (!known.includes(name)) throw unknown('UND_UNKNOWN_SERVICE', 'service', name, known)
}

/** Throws UND_UNKNOWN_NODE, with the names that there are. */
export function mustKnowNode({ spec }: Session, name: string): void {
  const known = spec.nodes.map((node) => node.name)
  if (!known.includes(name)) throw unknown('UND_UNKNOWN_NODE', 'node', name, known)
}

function unknown(
  code: 'UND_UNKNOWN_SERVICE' | 'UND_UNKNOWN_NODE',
  what: string,
  name: string,
  known: readonly string[],
) {
  const near = nearest(name, known)
  const list = known.length === 0 ? `there are no ${what}s` : `there are: ${known.join(', ')}`
  return new UnderstudyError(code, `there is no ${what} “${name}”${near ? `; did you mean “${near}”?` : ''} (${list})`)
}

function findAbove(from: string): string | undefined {
  for (let folder = from; ; folder = dirname(folder)) {
    if (existsSync(join(folder, FOLDER, 'cluster.json'))) return join(folder, FOLDER)
    if (dirname(folder) === folder) return undefined
  }
}
