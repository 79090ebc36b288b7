/** Secrets as the API of an agent sees them. Values come in and are sealed at once; none is kept, told or answered. */
import { randomUUID } from 'node:crypto'
import type { Accepted, RemoveSecretRequest, SecretAccepted, SecretEntry, SetSecretRequest } from '../api/api-types.ts'
import type { SecretSurface } from '../api/surface.ts'
import { earlierRefusal } from '../core/apply-check.ts'
import { usersOf } from '../core/secrets.ts'
import type { Agent } from './loop.ts'
import { removeSecret, type SecretPlace, secretsIn, setSecret } from './secret-store.ts'
import { refuseIf } from './surface-writes.ts'

export interface SecretSurfaceParts extends SecretPlace {
  readonly agent: Pick<Agent, 'view' | 'config' | 'announce'>
}

export class AgentSecretSurface implements SecretSurface {
  readonly #parts: SecretSurfaceParts

  constructor(parts: SecretSurfaceParts) {
    this.#parts = parts
  }

  async list(): Promise<readonly SecretEntry[]> {
    const { store, agent } = this.#parts
    return secretsIn(await store.read('secret/')).map(({ name, version, at, by }) => {
      return { name, version, at: new Date(at).toISOString(), by, services: usersOf(agent.view.cluster, name) }
    })
  }

  async set(name: string, { value, by = '' }: SetSecretRequest): Promise<SecretAccepted> {
    const { agent } = this.#parts
    // A value that no service uses yet changes nothing that runs.
    if (usersOf(agent.view.cluster, name).length > 0) refuseIf(earlierRefusal(agent.view))
    const { version, changed } = await setSecret(this.#parts, name, value, { at: agent.view.wall, by })
    if (!changed) return { version, changed, what: `${name} has this value already (version ${version})` }
    await agent.announce()
    const users = usersOf(agent.view.cluster, name)
    const then = users.length === 0 ? 'no service uses it' : `${users.join(', ')} will be restarted in turns`
    return { version, changed, what: `${name} has version ${version} now: ${then}` }
  }

  async remove(name: string, { by = '' }: RemoveSecretRequest): Promise<Accepted> {
    const { agent } = this.#parts
    await removeSecret(this.#parts, name, { at: agent.view.wall, by }, agent.config.spec)
    await agent.announce()
    return { id: randomUUID(), what: `${name} is removed` }
  }
}
