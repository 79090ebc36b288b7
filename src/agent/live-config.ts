/**
 * The config that this agent acts on: the newest one that it has seen in the store, or, until the store has said one, the one
 * that is kept on this node's disk.
 *
 * The one that is kept can also be new: `understudy up` was given another config while nothing ran. Then it is no news from the
 * store but for it, and the first agent that can writes it there (`toWrite`).
 *
 * An agent that was away may find that services are gone of which even the list of what was removed says nothing any more. It
 * still has what it had of them, so it adds them to that list for itself.
 */
import { CONFIG_SCHEMA, effectiveCluster, whatLeaves } from '../core/config-record.ts'
import type { ClusterSpec, ServiceName } from '../core/model.ts'
import type { ConfigFacts, ConfigRecord } from '../core/records.ts'
import type { Revised, StoreFacts } from '../core/store-facts.ts'

type Wishes = Pick<StoreFacts, 'sizes' | 'wishes' | 'secrets'>

export class LiveConfig {
  readonly #run: string
  #record: ConfigRecord
  /** Of the record, in the store; 0 as long as the one on the disk is acted on. */
  #revision = 0
  #refused: string | undefined
  #effective: { readonly record: ConfigRecord; readonly wishes: Wishes; readonly cluster: ClusterSpec } | undefined

  /** `kept`: from this node's disk. */
  constructor(kept: ConfigRecord, run: string) {
    this.#record = kept
    this.#run = run
  }

  get record(): ConfigRecord {
    return this.#record
  }

  /** Takes what the store says. True when another config is acted on from now on. `isHeld`: this node has something of a service. */
  see(found: Revised<ConfigRecord> | undefined, isHeld: (service: ServiceName) => boolean): boolean {
    this.#refused = found && found.schema > CONFIG_SCHEMA ? tooNew(found) : undefined
    if (!found || this.#refused !== undefined || found.run !== this.#run || found.revision <= this.#revision)
      return false
    const { revision, ...record } = found
    this.#revision = revision
    const listed = new Set(record.removed.map(({ name }) => name))
    const missed = whatLeaves(this.#record, record.spec).removed.filter(({ name }) => !listed.has(name) && isHeld(name))
    this.#record = missed.length === 0 ? record : { ...record, removed: [...record.removed, ...missed] }
    return true
  }

  /** What should be written into the store, which has `found`; undefined when nothing should. */
  toWrite(found: Revised<ConfigRecord> | undefined): ConfigRecord | undefined {
    if (found && (found.run === this.#run || found.schema > CONFIG_SCHEMA)) return undefined
    return this.#record
  }

  /** The same object as long as neither config nor wishes are others. */
  cluster(wishes: Wishes): ClusterSpec {
    const known = this.#effective
    const isSame =
      known?.record === this.#record &&
      known.wishes.sizes === wishes.sizes &&
      known.wishes.wishes === wishes.wishes &&
      known.wishes.secrets === wishes.secrets
    if (isSame) return known.cluster
    const cluster = effectiveCluster(this.#record, { ...wishes, wishes: wishes.wishes ?? {} })
    this.#effective = { record: this.#record, wishes, cluster }
    return cluster
  }

  facts(): ConfigFacts {
    const { number, leaving, removed } = this.#record
    const names = leaving.map(({ name }) => name)
    return { number, leaving: names, removed, ...(this.#refused !== undefined && { refused: this.#refused }) }
  }
}

function tooNew({ number, version }: ConfigRecord): string {
  return `config ${number} was written by Understudy ${version}, and this version cannot act on it: the one before it stays in force`
}
