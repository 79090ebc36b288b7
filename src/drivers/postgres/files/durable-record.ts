/**
 * What a replica must not forget, in one small file that is on the disk before anything is done or reported because of
 * it: its pledge, the primary that it may receive from, the quorum under which it is primary, and the terms of its WAL.
 *
 * A replica that has pledged term t accepts nothing from a lower term. `following` is empty from the pledge on, so an
 * agent or a server that is restarted in the middle of a failover comes up without a receiver (failover.md, trap 7).
 *
 * Only a replica without such a file has pledged nothing. A record that cannot be used keeps the replica out, with the
 * path and the reason, until an operator decides: read as blank, it would be overwritten, and with it the pledge.
 */
import type { QuorumConfig } from '../../../core/replicated/quorum-config.ts'
import { readJson, unreadable, writeFileAtomic } from '../../../lib/files.ts'
import type { PrimaryAddress } from '../../replica-driver.ts'
import { type Branch, isBranch } from '../server/wal-position.ts'

export interface DurableRecord {
  readonly pledged: number
  readonly port: number | null
  /** The primary that it may receive from; null: none. */
  readonly following: Following | null
  /** What it leads under or was on its way to lead under; null: it leads nothing. */
  readonly leading: QuorumConfig | null
  readonly lineage: readonly Branch[]
  /**
   * It was primary until it was fenced, so it may hold unacknowledged writes: no client may read from it before that is
   * settled.
   */
  readonly suspect: boolean
  /** Rewound or cloned, and not to be counted before it has this much of the WAL; null: it counts. */
  readonly quarantinedUntil: string | null
  /**
   * No server may run on the data, and only a clone helps: a rewind began and has not ended, so the pages are of two
   * histories; or another server wrote to a tablespace of it.
   */
  readonly torn: boolean
  /** About the last divergence: what was given up and where it is kept. */
  readonly discarded: string | null
}

export interface Following {
  readonly quorum: QuorumConfig
  readonly primary: PrimaryAddress
}

const BLANK: DurableRecord = {
  pledged: 0,
  port: null,
  following: null,
  leading: null,
  lineage: [],
  suspect: false,
  quarantinedUntil: null,
  torn: false,
  discarded: null,
}

export class RecordFile {
  readonly #path: string
  #record: DurableRecord

  constructor(path: string) {
    this.#path = path
    this.#record = BLANK
  }

  get now(): DurableRecord {
    return this.#record
  }

  /** Blank when there is no file. Throws UND_STATE_UNREADABLE when there is one that cannot be used. */
  load(): DurableRecord {
    const read = readJson(this.#path)
    if (read === undefined) {
      this.#record = BLANK
      return BLANK
    }
    if (!isRecord(read)) throw unreadable(this.#path, 'it is damaged: it is not the record of a replica')
    this.#record = { ...BLANK, ...(read as object) } // unknown fields are kept; those that an older version lacked are blank
    return this.#record
  }

  /** On the disk when it returns, the name of the file included. */
  change(change: Partial<DurableRecord>): void {
    const next = { ...this.#record, ...change }
    if (JSON.stringify(next) === JSON.stringify(this.#record)) return
    writeFileAtomic(this.#path, `${JSON.stringify(next, null, 2)}\n`)
    this.#record = next
  }
}

type Field = keyof DurableRecord

/** Each field is absent or what it should be, and the pledge is there: every version wrote it. */
function isRecord(read: unknown): boolean {
  if (typeof read !== 'object' || read === null || !('pledged' in read)) return false
  const fields = read as Partial<Record<Field, unknown>>
  return (Object.keys(FIELDS) as Field[]).every((name) => fields[name] === undefined || FIELDS[name](fields[name]))
}

const isCount = (it: unknown) => Number.isSafeInteger(it) && (it as number) >= 0
const isText = (it: unknown) => typeof it === 'string'
const isFlag = (it: unknown) => typeof it === 'boolean'
const orNull = (is: (it: unknown) => boolean) => (it: unknown) => it === null || is(it)

function isQuorumConfig(it: unknown): boolean {
  const { term, primary, standbys, k, id } = (it ?? {}) as Partial<Record<keyof QuorumConfig, unknown>>
  return (
    isCount(term) && isText(primary) && Array.isArray(standbys) && standbys.every(isText) && isCount(k) && isText(id)
  )
}

function isFollowing(it: unknown): boolean {
  const { quorum, primary } = (it ?? {}) as { quorum?: unknown; primary?: unknown }
  const { host, port } = (primary ?? {}) as { host?: unknown; port?: unknown }
  return isQuorumConfig(quorum) && isText(host) && isCount(port)
}

const FIELDS: Readonly<Record<Field, (it: unknown) => boolean>> = {
  pledged: isCount,
  port: orNull(isCount),
  following: orNull(isFollowing),
  leading: orNull(isQuorumConfig),
  lineage: (it) => Array.isArray(it) && it.every(isBranch),
  suspect: isFlag,
  quarantinedUntil: orNull(isText),
  torn: isFlag,
  discarded: orNull(isText),
}

/** May it receive from a primary? */
export function mayReceive(record: DurableRecord): boolean {
  return record.following !== null && record.following.quorum.term >= record.pledged
}
