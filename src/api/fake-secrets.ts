/** The secrets of a fake agent: kept as they are told, and never in what is asked for. */
import { UnderstudyError } from '../errors.ts'
import type { Accepted, RemoveSecretRequest, SecretAccepted, SecretEntry, SetSecretRequest } from './api-types.ts'
import type { SecretSurface } from './surface.ts'

export class FakeSecrets implements SecretSurface {
  readonly values = new Map<string, string>()
  readonly #accept: (what: string, of: string) => Accepted

  constructor(accept: (what: string, of: string) => Accepted) {
    this.#accept = accept
  }

  async list(): Promise<readonly SecretEntry[]> {
    const at = '2026-01-02T03:04:05.678Z'
    return [...this.values.keys()].map((name) => ({ name, version: 1, at, by: 'op@host', services: ['web'] }))
  }

  async set(name: string, { value }: SetSecretRequest): Promise<SecretAccepted> {
    const { what } = this.#accept('set secret', name)
    const changed = this.values.get(name) !== value
    this.values.set(name, value)
    return { version: 1, changed, what }
  }

  async remove(name: string, _request: RemoveSecretRequest): Promise<Accepted> {
    const accepted = this.#accept('remove secret', name)
    if (!this.values.delete(name)) throw new UnderstudyError('UND_UNKNOWN_SECRET', `there is no secret “${name}”`)
    return accepted
  }
}
