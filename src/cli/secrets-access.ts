/**
 * The secrets of a cluster: through the agents that run, or in its store when none does. Both write with compare-and-swap, so
 * it does no harm when an agent is started at the same moment.
 */
import { existsSync } from 'node:fs'
import type { Accepted, Client, SecretAccepted, SecretEntry } from '../client/index.ts'
import type { ClusterSpec } from '../core/model.ts'
import { missingSecrets, missingSecretsText, secretsOf, usersOf } from '../core/secrets.ts'
import { hasCode, UnderstudyError } from '../errors.ts'
import { systemClock } from '../lib/clock.ts'
import type { StateFolder } from '../local/cluster-folder.ts'
import type { Store } from '../stores/store.ts'
import { author } from './author.ts'
import { type CommonOptions, openSession, stateFolder } from './cluster-session.ts'
import type { Io } from './io.ts'
import { secretRoom, storeRoom } from './lazy-rooms.ts'

export interface SecretsAccess {
  list(): Promise<readonly SecretEntry[]>
  set(name: string, value: string): Promise<SecretAccepted>
  remove(name: string): Promise<Pick<Accepted, 'what'>>
}

export function openSecrets(io: Io, options: CommonOptions): SecretsAccess {
  const state = stateFolder(io, options)
  const by = author()
  const ask = async <T>(agents: (client: Client) => Promise<T>, here: () => Promise<T>): Promise<T> => {
    if (!existsSync(state.clusterFile)) return here()
    try {
      return await agents(openSession(io, options).client)
    } catch (error) {
      if (!hasCode(error, 'UND_NOT_RUNNING')) throw error
      return here()
    }
  }
  return {
    list: () =>
      ask(
        (client) => client.secrets(),
        () => listHere(state),
      ),
    set: (name, value) =>
      ask(
        (client) => client.setSecret(name, { value, by }),
        () => setHere(state, name, value, by),
      ),
    remove: (name) =>
      ask(
        (client) => client.removeSecret(name, { by }),
        () => removeHere(state, name, by),
      ),
  }
}

/** The names of those that are set in the store of a state folder. */
export async function secretNamesIn(state: StateFolder): Promise<string[]> {
  return (await listHere(state)).map(({ name }) => name)
}

/** A sentence about the secrets that a config names and that are not set; empty when there are none. */
export async function missingSecretsFor(spec: ClusterSpec, state: StateFolder): Promise<string> {
  if (spec.services.every((service) => secretsOf(service).length === 0)) return ''
  return missingSecretsText(missingSecrets(spec, await secretNamesIn(state)))
}

/** Rejects with UND_UNKNOWN_SECRET when a config names secrets that are not set. */
export async function refuseMissingSecrets(spec: ClusterSpec, state: StateFolder): Promise<void> {
  const missing = await missingSecretsFor(spec, state)
  if (missing !== '') throw new UnderstudyError('UND_UNKNOWN_SECRET', missing)
}

/** Null: it is not set, or cannot be opened by this user. */
export async function secretValueIn(state: StateFolder, name: string): Promise<string | null> {
  const { findSecret, openSecret } = await secretRoom()
  try {
    const found = await withStore(state, async (store) => findSecret(await store.read('secret/'), name))
    return found ? openSecret(state.secretsKeyFile, name, found) : null
  } catch {
    return null // another user's store or key
  }
}

async function listHere(state: StateFolder): Promise<SecretEntry[]> {
  if (!existsSync(state.storeFile)) return []
  const { secretsIn } = await secretRoom()
  const spec = state.readCluster()?.spec
  const found = await withStore(state, async (store) => secretsIn(await store.read('secret/')))
  return found.map(({ name, version, at, by }) => {
    return { name, version, at: new Date(at).toISOString(), by, services: spec ? usersOf(spec, name) : [] }
  })
}

async function setHere(state: StateFolder, name: string, value: string, by: string): Promise<SecretAccepted> {
  const { setSecret } = await secretRoom()
  state.create()
  const { version, changed } = await withStore(state, (store) =>
    setSecret({ store, keyFile: state.secretsKeyFile }, name, value, { at: systemClock.wall(), by }),
  )
  const what = changed
    ? `${name} has version ${version} now, in ${state.path}`
    : `${name} has this value already (version ${version})`
  return { version, changed, what: `${what}; no agent was running to be told` }
}

async function removeHere(state: StateFolder, name: string, by: string): Promise<Pick<Accepted, 'what'>> {
  const { removeSecret } = await secretRoom()
  if (!existsSync(state.storeFile))
    throw new UnderstudyError('UND_UNKNOWN_SECRET', `there is no secret “${name}” in ${state.path}`)
  const spec = state.readCluster()?.spec
  await withStore(state, (store) => removeSecret({ store }, name, { at: systemClock.wall(), by }, spec))
  return { what: `${name} is removed` }
}

async function withStore<T>(state: StateFolder, use: (store: Store) => Promise<T>): Promise<T> {
  const { openStore } = await storeRoom()
  const store = await openStore({ kind: 'embedded', path: state.storeFile, clock: systemClock, random: Math.random })
  try {
    return await use(store)
  } finally {
    await store.close()
  }
}
