/**
 * The store's snapshot as the core wants it: typed records, who leads, and for how long nobody has. Decoding is tolerant:
 * a record that makes no sense is treated as absent and left alone, because a newer agent may have written it.
 */
import type { NodeName, ServiceName } from '../core/model.ts'
import type { ClusterRecord, LeadRecord, NodeRecord, ServiceRecord, SizeRecord } from '../core/records.ts'
import type { Revised, StoreFacts } from '../core/view.ts'
import { deepFreeze } from '../lib/deep-freeze.ts'
import type { Snapshot } from '../stores/store.ts'

export const KEY = {
  cluster: 'cluster',
  service: (name: ServiceName) => `service/${name}`,
  lead: (name: ServiceName) => `lead/${name}`,
  node: (name: NodeName) => `node/${name}`,
  size: (name: ServiceName) => `size/${name}`,
} as const

export class Agreed {
  #snapshot: Snapshot = { revision: 0, entries: new Map() }
  #decoded: Decoded = decode(this.#snapshot)
  #everRead = false
  #away: string | null = 'it has not been read yet'
  #unwritable: string | null = null
  #freeSince = new Map<ServiceName, number>()
  /** Records by service: the revision, and since when it is known. */
  readonly #knownSince = new Map<ServiceName, { readonly revision: number; readonly since: number }>()
  /** Switchovers by their id. */
  #askedSince = new Map<string, number>()

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

  facts(now: number, services: readonly ServiceName[]): StoreFacts {
    const { leads, services: records } = this.#decoded
    const why = this.#away ?? this.#unwritable
    this.#countFree(leads, services, now)
    this.#countAsked(records, now)
    this.#countKnown(records, now)
    return {
      reachable: why === null && this.#everRead,
      why: why ?? '',
      ...this.#decoded,
      recordForMs: Object.fromEntries([...this.#knownSince].map(([service, { since }]) => [service, now - since])),
      leadFreeForMs: Object.fromEntries([...this.#freeSince].map(([service, since]) => [service, now - since])),
      switchoverForMs: Object.fromEntries(
        Object.entries(records).flatMap(([service, { switchover }]) =>
          switchover ? [[service, now - (this.#askedSince.get(switchover.id) ?? now)]] : [],
        ),
      ),
    }
  }

  #countFree(leads: Record<ServiceName, unknown>, services: readonly ServiceName[], now: number): void {
    for (const service of services) {
      if (leads[service]) this.#freeSince.delete(service)
      else if (!this.#freeSince.has(service)) this.#freeSince.set(service, now)
    }
  }

  #countKnown(records: Readonly<Record<ServiceName, Revised<ServiceRecord>>>, now: number): void {
    for (const [service, { revision }] of Object.entries(records)) {
      if (this.#knownSince.get(service)?.revision !== revision) this.#knownSince.set(service, { revision, since: now })
    }
  }

  #countAsked(records: Record<ServiceName, ServiceRecord>, now: number): void {
    const ids = Object.values(records).flatMap(({ switchover }) => switchover?.id ?? [])
    this.#askedSince = new Map(ids.map((id) => [id, this.#askedSince.get(id) ?? now]))
  }
}

type Decoded = Pick<StoreFacts, 'cluster' | 'services' | 'leads' | 'nodes' | 'sizes'>

/** Done once for each snapshot, not for each turn. */
function decode({ entries }: Snapshot): Decoded {
  return deepFreeze({
    cluster: records(entries, 'cluster', isCluster)[''] ?? { desired: 'running' },
    services: records(entries, 'service/', isService),
    leads: records(entries, 'lead/', isLead),
    nodes: records(entries, 'node/', isNode),
    sizes: records(entries, 'size/', isSize),
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
    typeof value.lease === 'string'
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

function isCluster(value: unknown): value is ClusterRecord {
  return isObject(value) && (value.desired === 'running' || value.desired === 'stopped')
}
