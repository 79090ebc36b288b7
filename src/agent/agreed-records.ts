/**
 * The store's snapshot as the core wants it: typed records, primaries, and for how long there has been none. Decoding
 * is tolerant: a record that makes no sense is treated as absent and left alone, because a newer agent may have written
 * it.
 */
import { CONFIG_SCHEMA } from '../core/config-record.ts'
import type { NodeName, ServiceName, ServiceSpec } from '../core/model.ts'
import type {
  ClusterRecord,
  ConfigRecord,
  LeadRecord,
  NodeRecord,
  RolloutRecord,
  SecretRecord,
  ServiceRecord,
  ServiceWish,
  SizeRecord,
} from '../core/records.ts'
import type { Revised, StoreFacts } from '../core/store-facts.ts'
import { deepFreeze } from '../lib/deep-freeze.ts'
import type { LeaseId, Snapshot } from '../stores/store.ts'

export const KEY = {
  cluster: 'cluster',
  service: (name: ServiceName) => `service/${name}`,
  lead: (name: ServiceName) => `lead/${name}`,
  node: (name: NodeName) => `node/${name}`,
  size: (name: ServiceName) => `size/${name}`,
  wish: (name: ServiceName) => `wish/${name}`,
  rollout: (name: ServiceName) => `rollout/${name}`,
  secret: (name: string) => `secret/${name}`,
  config: 'config',
  pastConfigs: 'history/config/',
  pastConfig: (number: number) => `history/config/${String(number).padStart(9, '0')}`,
} as const

export class AgreedRecords {
  #snapshot: Snapshot = { revision: 0, entries: new Map() }
  #decoded: Decoded = decode(this.#snapshot)
  #everRead = false
  #away: string | null = 'it has not been read yet'
  #unwritable: string | null = null
  /** What the spells below were counted for. They begin and end only with other records, so each is counted once. */
  #counted: Decoded | null = null
  /** Services without a primary. */
  #free = new Map<ServiceName, Spell>()
  /** Records by their revision. */
  #known = new Map<ServiceName, Spell>()
  /** Switchovers by their id. */
  #asked = new Map<ServiceName, Spell>()

  /** Takes a snapshot unless a newer one is known. */
  take(snapshot: Snapshot): void {
    this.#away = null
    if (snapshot.revision < this.#snapshot.revision) return
    if (snapshot.revision > this.#snapshot.revision || !this.#everRead) this.#decoded = decode(snapshot)
    this.#snapshot = snapshot
    this.#everRead = true
  }

  away(error: Error): void {
    this.#away = error.message
  }

  /** The last write failed for a reason that lasts (a full or read-only disk): nothing can be agreed until one works. */
  wroteBadly(error: Error): void {
    this.#unwritable = error.message
  }

  wroteWell(): void {
    this.#unwritable = null
  }

  get writable(): boolean {
    return this.#unwritable === null
  }

  revisionOf(key: string): number {
    return this.#snapshot.entries.get(key)?.revision ?? 0
  }

  /** Leases under which a node holds leads, by the last snapshot, of those with this full time. */
  leasesOf(node: NodeName, ttlMs: number): ReadonlySet<LeaseId> {
    const leads = Object.values(this.#decoded.leads)
    return new Set(leads.filter((lead) => lead.node === node && lead.ttlMs === ttlMs).map(({ lease }) => lease))
  }

  /** It has been read, and answers. */
  get isKnown(): boolean {
    return this.#everRead && this.#away === null
  }

  get wishes(): Pick<StoreFacts, 'sizes' | 'wishes' | 'secrets'> {
    return this.#decoded
  }

  /** What the store says of the config, by the last snapshot. */
  get config(): Revised<ConfigRecord> | undefined {
    return this.#decoded.config
  }

  facts(now: number, services: readonly ServiceSpec[]): StoreFacts {
    const why = this.#away ?? this.#unwritable
    if (this.#counted !== this.#decoded) this.#count(now, services)
    const { cluster, services: records, leads, nodes, sizes, wishes, rollouts, secrets, config } = this.#decoded
    return {
      reachable: why === null && this.#everRead,
      why: why ?? '',
      cluster,
      services: records,
      leads,
      nodes,
      sizes,
      wishes,
      rollouts,
      ...(this.#everRead && { secrets }),
      config,
      recordForMs: lengths(this.#known, now),
      leadFreeForMs: lengths(this.#free, now),
      switchoverForMs: lengths(this.#asked, now),
    }
  }

  #count(now: number, services: readonly ServiceSpec[]): void {
    const { leads, services: records } = this.#decoded
    const free = services.filter(({ name }) => !leads[name])
    const known = Object.entries(records)
    const asked = known.flatMap(([service, { switchover }]) => (switchover ? [[service, switchover.id] as const] : []))
    this.#free = spells(
      this.#free,
      free.map(({ name }) => [name, 'free']),
      now,
    )
    this.#known = spells(
      this.#known,
      known.map(([service, { revision }]) => [service, revision]),
      now,
    )
    this.#asked = spells(this.#asked, asked, now)
    this.#counted = this.#decoded
  }
}

type Decoded = Pick<
  StoreFacts,
  'cluster' | 'services' | 'leads' | 'nodes' | 'sizes' | 'wishes' | 'rollouts' | 'secrets' | 'config'
>

/** Since when something is so; what is so is named by `what`. */
interface Spell {
  readonly what: string | number
  readonly since: number
}

/** Keeps the spells that are still the same, begins new ones, and forgets those that ended. */
function spells(
  before: ReadonlyMap<ServiceName, Spell>,
  now: readonly (readonly [ServiceName, string | number])[],
  at: number,
): Map<ServiceName, Spell> {
  return new Map(
    now.map(([service, what]) => {
      const known = before.get(service)
      return [service, known?.what === what ? known : { what, since: at }]
    }),
  )
}

function lengths(spells: ReadonlyMap<ServiceName, Spell>, now: number): Record<ServiceName, number> {
  const lengths: Record<ServiceName, number> = {}
  for (const [service, { since }] of spells) lengths[service] = now - since
  return lengths
}

/** Done once for each snapshot, not for each turn. */
function decode({ entries }: Snapshot): Decoded {
  return deepFreeze({
    cluster: records(entries, 'cluster', isCluster)[''] ?? { desired: 'running' },
    services: records(entries, 'service/', isService),
    leads: records(entries, 'lead/', isLead),
    nodes: records(entries, 'node/', isNode),
    sizes: records(entries, 'size/', isSize),
    wishes: records(entries, 'wish/', isWish),
    rollouts: records(entries, 'rollout/', isRollout),
    secrets: records(entries, 'secret/', isSecret),
    config: records(entries, 'config', isConfig)[''],
  })
}

function records<T>(
  entries: Snapshot['entries'],
  prefix: string,
  isOne: (value: unknown) => value is T,
): Record<string, Revised<T>> {
  const found: Record<string, Revised<T>> = {}
  for (const [key, { value, revision }] of entries) {
    if (key.startsWith(prefix) && isOne(value)) found[key.slice(prefix.length)] = { ...value, revision }
  }
  return found
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

function isLead(value: unknown): value is LeadRecord {
  return (
    isObject(value) &&
    typeof value.node === 'string' &&
    typeof value.term === 'number' &&
    typeof value.lease === 'string' &&
    (value.ttlMs === undefined || (typeof value.ttlMs === 'number' && value.ttlMs > 0))
  )
}

function isService(value: unknown): value is ServiceRecord {
  return isObject(value) && typeof value.term === 'number'
}

function isNode(value: unknown): value is NodeRecord {
  return isObject(value) && typeof value.drained === 'boolean'
}

function isSize(value: unknown): value is SizeRecord {
  return isObject(value) && Number.isSafeInteger(value.instances) && Number.isSafeInteger(value.configured)
}

function isWish(value: unknown): value is ServiceWish {
  return isObject(value) && Number.isSafeInteger(value.restarts)
}

export function isSecret(value: unknown): value is SecretRecord {
  return (
    isObject(value) &&
    Number.isSafeInteger(value.version) &&
    typeof value.keyId === 'string' &&
    typeof value.at === 'number' &&
    typeof value.by === 'string' &&
    (value.sealed === undefined || typeof value.sealed === 'string')
  )
}

function isRollout(value: unknown): value is RolloutRecord {
  return isObject(value) && typeof value.target === 'string' && Array.isArray(value.turns)
}

/** One of a later schema is recognised by its schema alone: what else is in it may have another shape. */
function isConfig(value: unknown): value is ConfigRecord {
  if (!isObject(value) || typeof value.schema !== 'number' || typeof value.number !== 'number') return false
  if (value.schema > CONFIG_SCHEMA) return true
  const { spec, hash, run, leaving, removed } = value
  const isSpec = isObject(spec) && Array.isArray(spec.nodes) && Array.isArray(spec.services) && isObject(spec.timing)
  return (
    isSpec && typeof hash === 'string' && typeof run === 'string' && Array.isArray(leaving) && Array.isArray(removed)
  )
}

function isCluster(value: unknown): value is ClusterRecord {
  return isObject(value) && (value.desired === 'running' || value.desired === 'stopped')
}
