/**
 * `up` with another config than the one that runs: it is applied, as `apply` does it, and `up` goes on from there. Where another
 * `up` looks after the cluster, that one goes on doing so.
 */
import { type Client, connect } from '../client/index.ts'
import { configChanges } from '../core/config-changes.ts'
import type { ConfigSource } from '../core/config-record.ts'
import type { ClusterSpec } from '../core/model.ts'
import { hasCode, UnderstudyError } from '../errors.ts'
import { sleep, systemClock } from '../lib/clock.ts'
import { apiAddresses, type StateFolder } from '../local/cluster-folder.ts'
import { startLocal } from '../local/start-cluster.ts'
import { claimHolder } from '../local/up-claim.ts'
import { applyConfig } from './apply-config.ts'
import { author } from './author.ts'
import type { Io } from './io.ts'
import { version } from './version.ts'

interface Wanted {
  readonly spec: ClusterSpec
  readonly source: ConfigSource
  readonly state: StateFolder
}

interface Options {
  readonly yes?: boolean
  readonly json?: boolean
  readonly timeout: number
}

/** An agent that was killed is there again within seconds; one that starts needs a moment to listen. */
const ANSWER_WITHIN_MS = 10_000

/** Undefined: `up` goes on with this config. An exit code: it does not. Rejects as `applyConfig`. */
export async function applyToRunning(
  io: Io,
  { spec, source, state }: Wanted,
  options: Options,
): Promise<number | undefined> {
  const holder = claimHolder(state.claimFile)
  const client = clientOf(state)
  const run = {
    client,
    spec,
    write: ({ number }: { readonly number: number }) =>
      client.apply({ spec, source, expect: number, version: version(), message: 'up', by: author() }),
  }
  const asked = {
    wait: holder !== undefined,
    timeout: options.timeout,
    ...(options.yes && { yes: true }),
    ...(options.json && { json: true }),
  }
  const apply = async () => {
    const { code, result } = await applyConfig(io, run, asked)
    if (result === 'accepted' || result === 'done') await untilKept(spec, state)
    return result === 'declined' || code !== 0 ? code : undefined
  }
  if (holder) {
    const code = await apply()
    if (code === undefined && !options.json) io.out(`Process ${holder.pid} goes on looking after the cluster.`)
    return code ?? 0
  }
  return (await answers(client)) ? apply() : withAgents(state, client, apply)
}

/** No agent runs, but what they looked after does: they are started with the config that they have, to take the other one. */
async function withAgents<T>(state: StateFolder, client: Client, work: () => Promise<T>): Promise<T> {
  const kept = state.readCluster()
  if (!kept) throw new UnderstudyError('UND_NOT_RUNNING', `${state.path} holds no cluster`)
  const { spec, configFile } = kept
  const cluster = await startLocal({
    spec,
    stateDir: state.path,
    version: version(),
    ...(configFile && { configFile }),
  })
  try {
    const deadline = systemClock.mono() + ANSWER_WITHIN_MS
    while (!(await answers(client)) && systemClock.mono() < deadline) await sleep(systemClock, 100)
    return await work()
  } finally {
    cluster.letGo()
  }
}

async function answers(client: Client): Promise<boolean> {
  try {
    await client.config()
    return true
  } catch (error) {
    if (hasCode(error, 'UND_NOT_RUNNING') || hasCode(error, 'UND_STARTING')) return false
    throw error
  }
}

/** An agent of this machine has it on its disk, so that what starts next starts with it. */
async function untilKept(spec: ClusterSpec, state: StateFolder): Promise<void> {
  const wanted: ClusterSpec = JSON.parse(JSON.stringify(spec))
  const deadline = systemClock.mono() + ANSWER_WITHIN_MS
  while (systemClock.mono() < deadline) {
    const kept = state.readCluster()
    if (kept && configChanges(kept.spec, wanted).length === 0) return
    await sleep(systemClock, 50)
  }
}

function clientOf(state: StateFolder): Client {
  const spec = state.readCluster()?.spec
  const token = state.readToken()
  if (spec && token) return connect({ addresses: apiAddresses(spec), token })
  throw new UnderstudyError('UND_NOT_RUNNING', `${state.path} does not say how its agents are asked`)
}
