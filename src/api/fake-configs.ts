/** The configs of a fake agent: kept in a list, and what is asked for is remembered and accepted. */
import type { ClusterSpec } from '../core/model.ts'
import { UnderstudyError } from '../errors.ts'
import type {
  AbortRequest,
  Accepted,
  ApplyRequest,
  ConfigAccepted,
  ConfigContent,
  ConfigEntry,
  RollbackRequest,
} from './api-types.ts'
import type { ConfigSurface } from './surface.ts'

export class FakeConfigs implements ConfigSurface {
  kept: ConfigContent[] = [fakeConfig(1)]
  readonly #accept: (what: string, of: string) => Accepted

  constructor(accept: (what: string, of: string) => Accepted) {
    this.#accept = accept
  }

  get newest(): ConfigContent {
    return this.kept.at(-1) as ConfigContent
  }

  async read(number = this.newest.number): Promise<ConfigContent> {
    const found = this.kept.find((one) => one.number === number)
    if (found) return found
    throw new UnderstudyError('UND_UNKNOWN_CONFIG', `there is no config ${number}`)
  }

  async history(): Promise<readonly ConfigEntry[]> {
    return this.kept.map(({ spec: _, source: __, ...entry }) => entry).reverse()
  }

  async apply(request: ApplyRequest): Promise<ConfigAccepted> {
    const { spec, source, message = '', by = '' } = request
    const { what } = this.#accept('apply', by)
    this.kept.push({ ...fakeConfig(this.newest.number + 1), spec, source: source ?? null, message, by })
    return { number: this.newest.number, what }
  }

  async rollback({ to }: RollbackRequest): Promise<ConfigAccepted> {
    const before = await this.read(to)
    const { what } = this.#accept('rollback', String(to))
    this.kept.push({ ...before, number: this.newest.number + 1 })
    return { number: this.newest.number, what }
  }

  async abort(request: AbortRequest): Promise<ConfigAccepted> {
    const { what } = this.#accept('abort', String(request.expect ?? 'whatever holds'))
    return { number: this.newest.number + 1, what }
  }

  async restart(service: string): Promise<Accepted> {
    return this.#accept('restart', service)
  }

  async setStopped(service: string, stopped: boolean): Promise<Accepted> {
    return this.#accept(stopped ? 'stop' : 'start', service)
  }
}

export function fakeConfig(number: number, fields: Partial<ConfigContent> = {}): ConfigContent {
  const spec = { name: 'shop', nodes: [], services: [] } as unknown as ClusterSpec
  const at = '2026-01-02T03:04:05.678Z'
  return {
    number,
    hash: `${number}`.repeat(16),
    at,
    by: 'op@host',
    message: '',
    version: '1.0.0',
    spec,
    source: null,
    ...fields,
  }
}
