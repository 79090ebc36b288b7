/**
 * The config as the API of an agent sees it: what holds, what held before, and what replaces it. A change is checked here
 * (core/apply-check.ts) and then written with one compare-and-swap; every agent acts on it from then on, this one included.
 */
import { randomUUID } from 'node:crypto'
import type {
  AbortRequest,
  Accepted,
  ApplyRequest,
  ConfigAccepted,
  ConfigContent,
  ConfigEntry,
  ConfigStatus,
  RollbackRequest,
} from '../api/api-types.ts'
import type { ConfigSurface } from '../api/surface.ts'
import { conflict, contentRefusal, earlierRefusal, isUnderWay, versionRefusal } from '../core/apply-check.ts'
import { CONFIG_SCHEMA, type ConfigSource } from '../core/config-record.ts'
import type { ClusterSpec } from '../core/model.ts'
import type { ConfigRecord, ServiceWish } from '../core/records.ts'
import { rolloutState } from '../core/rollout-state.ts'
import type { Revised } from '../core/store-facts.ts'
import type { View } from '../core/view.ts'
import { changeOfOptions } from '../drivers/options-changes.ts'
import { UnderstudyError } from '../errors.ts'
import { KEY } from './agreed-records.ts'
import { hashOf, nextRecord, type PastConfig, readHistory, readPastConfig, writeConfig } from './config-store.ts'
import { refuseIf, revisionOf, type SurfaceWrites, serviceNamed, writeAgreed } from './surface-writes.ts'

export interface ConfigSurfaceParts extends SurfaceWrites {
  readonly run: string
  /** Of this agent's Understudy. */
  readonly version: string
}

export class AgentConfigSurface implements ConfigSurface {
  readonly #parts: ConfigSurfaceParts

  constructor(parts: ConfigSurfaceParts) {
    this.#parts = parts
  }

  async read(number?: number): Promise<ConfigContent> {
    const { agent, store } = this.#parts
    const { config } = agent
    const past = await readPastConfig(store, number ?? config.number)
    if (past) return { ...entryOf(past), spec: past.spec, source: past.source }
    if (number === undefined || number === config.number) return { ...entryOf(config), spec: config.spec, source: null }
    const kept = (await readHistory(store)).map((one) => one.number)
    const range = kept.length === 0 ? 'none is kept' : `kept are ${kept.at(-1)} to ${kept[0]}`
    throw new UnderstudyError('UND_UNKNOWN_CONFIG', `there is no config ${number}: ${range}`)
  }

  async history(): Promise<readonly ConfigEntry[]> {
    return (await readHistory(this.#parts.store)).map(entryOf)
  }

  async apply(request: ApplyRequest): Promise<ConfigAccepted> {
    const { agent, version: own } = this.#parts
    const present = await this.#present()
    const { spec, expect, version, schema = CONFIG_SCHEMA, source = null, message = '', by = '' } = request
    refuseIf(versionRefusal(present, { version, schema }, own))
    refuseIf(expect === present.number ? undefined : conflict(present, expect))
    if (hashOf(spec) === present.hash)
      return { number: present.number, what: `config ${present.number} says the same: nothing changes` }
    refuseIf(earlierRefusal(agent.view, spec))
    refuseIf(contentRefusal(agent.view, present, spec, changeOfOptions))
    return this.#write(present, spec, source, { message, by, version })
  }

  async rollback({ to, expect, message = '', by = '' }: RollbackRequest): Promise<ConfigAccepted> {
    const present = await this.#present()
    refuseIf(expect === undefined || expect === present.number ? undefined : conflict(present, expect))
    if (to === present.number)
      return { number: present.number, what: `config ${present.number} holds already: nothing changes` }
    return this.#goBack(present, to, message, by)
  }

  async abort({ expect, by = '' }: AbortRequest): Promise<ConfigAccepted> {
    const { agent, store } = this.#parts
    const present = await this.#present()
    refuseIf(expect === undefined || expect === present.number ? undefined : conflict(present, expect))
    const refuse = (why: string) => new UnderstudyError('UND_REFUSED', why)
    if (present.returnsTo !== undefined)
      throw refuse(`config ${present.number} is the way back to config ${present.returnsTo} already`)
    const { view } = agent
    const isRolling = view.cluster.services.some((service) => rolloutState(view, service) !== undefined)
    const before = (await readHistory(store)).find(({ number }) => number < present.number)
    if (!before) throw refuse(`there is no config before config ${present.number}`)
    if (!isUnderWay(view, present, isRolling))
      throw refuse(
        `config ${present.number} is in force everywhere: “understudy config rollback ${before.number}” goes back`,
      )
    return this.#goBack(present, before.number, `config ${present.number} was aborted`, by)
  }

  async restart(name: string): Promise<Accepted> {
    const { service, found } = await this.#wishOf(name)
    if (service.stopped)
      throw new UnderstudyError('UND_REFUSED', `${name} is stopped: “understudy start ${name}” starts it`)
    refuseIf(earlierRefusal(this.#parts.agent.view))
    const { restarts = 0 } = found ?? {}
    await writeAgreed(this.#parts, KEY.wish(name), revisionOf(found), { restarts: restarts + 1 } satisfies ServiceWish)
    return { id: randomUUID(), what: `every instance of ${name} is replaced in its turn` }
  }

  async setStopped(name: string, stopped: boolean, by: string): Promise<Accepted> {
    const { found } = await this.#wishOf(name)
    const what = stopped ? `${name} ends on every node and stays stopped` : `${name} runs again`
    if ((found?.stopped !== undefined) === stopped)
      return { id: randomUUID(), what: stopped ? `${name} is stopped already` : `${name} is not stopped` }
    refuseIf(earlierRefusal(this.#parts.agent.view))
    const { restarts = 0 } = found ?? {}
    const at = this.#parts.agent.view.wall
    const wish: ServiceWish = { restarts, ...(stopped && { stopped: { at, by } }) }
    await writeAgreed(this.#parts, KEY.wish(name), revisionOf(found), wish)
    return { id: randomUUID(), what }
  }

  /** By the view, as all else in a status: the config of the next turn is not what services are compared with yet. */
  status({ config: facts }: View): ConfigStatus {
    const { config } = this.#parts.agent
    const { number = 0, leaving = [], removed = [], refused = null } = facts ?? {}
    const known = config.number === number ? config : { hash: '', at: 0, by: '', message: '' }
    const { hash, at, by, message } = known
    return { number, hash, at: isoOf(at), by, message, leaving, removed: removed.map(({ name }) => name), refused }
  }

  async #goBack(present: Revised<ConfigRecord>, to: number, message: string, by: string): Promise<ConfigAccepted> {
    const { agent } = this.#parts
    const { spec, source, version } = await this.read(to)
    refuseIf(earlierRefusal(agent.view, spec))
    refuseIf(contentRefusal(agent.view, present, spec, changeOfOptions))
    const why = [`back to config ${to}`, message].filter(Boolean).join(': ')
    return this.#write(present, spec, source, { message: why, by, version }, to)
  }

  async #write(
    present: Revised<ConfigRecord>,
    spec: ClusterSpec,
    source: ConfigSource | null,
    who: Pick<ConfigRecord, 'message' | 'by' | 'version'>,
    returnsTo?: number,
  ): Promise<ConfigAccepted> {
    const { agent, store, run } = this.#parts
    const { revision, ...before } = present
    const next = nextRecord(before, spec, { run, at: agent.view.wall, ...who })
    const record = returnsTo === undefined ? next : { ...next, returnsTo }
    if ((await writeConfig(store, present, record, source)) === 'conflict') {
      await agent.look()
      refuseIf(conflict(await this.#present(), present.number))
    }
    await agent.announce()
    return { number: record.number, what: `config ${record.number} replaces config ${present.number}` }
  }

  /** Read now: what is written replaces exactly this. */
  async #present(): Promise<Revised<ConfigRecord>> {
    const { agent, run } = this.#parts
    await agent.look()
    const { config } = agent.agreed
    if (config?.run === run) return config
    throw new UnderstudyError('UND_STARTING', 'the cluster has just been started and its config is not written yet')
  }

  async #wishOf(name: string) {
    const { agent } = this.#parts
    await agent.look()
    const service = serviceNamed(agent.view, name)
    return { service, found: agent.agreed.wishes.wishes?.[name] }
  }
}

function entryOf({ number, hash, at, by, message, version }: PastConfig): ConfigEntry {
  return { number, hash, at: isoOf(at), by, message, version }
}

function isoOf(at: number): string {
  return new Date(at).toISOString()
}
