/**
 * How a config is written into the store: the record that holds now, and beside it, in the same swap, an entry of the history that
 * has the text it came from. History entries are packed, because every reader of the store reads them, too.
 */
import { createHash } from 'node:crypto'
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import { type Authorship, CONFIG_SCHEMA, type ConfigSource, whatLeaves } from '../core/config-record.ts'
import type { ClusterSpec } from '../core/model.ts'
import type { ConfigRecord } from '../core/records.ts'
import type { Revised } from '../core/store-facts.ts'
import { UnderstudyError } from '../errors.ts'
import type { Entry, Store, Write } from '../stores/store.ts'
import { KEY } from './agreed-records.ts'

/** As many configs can be looked at and returned to. */
export const KEPT_CONFIGS = 20

/** Of the text of a config; a longer one is refused. Judgement: the largest example has 4 KiB, and twenty are kept in the store. */
export const MOST_SOURCE_BYTES = 256 * 1024

/** One entry of the history, without what is packed. */
export interface PastConfig {
  readonly number: number
  readonly hash: string
  readonly at: number
  readonly by: string
  readonly message: string
  readonly version: string
  /** It is the way back to an earlier one, of this number. */
  readonly returnsTo?: number
}

interface Packed extends PastConfig {
  readonly packed: string
}

/** The same for equal configs; 16 hex digits. */
export function hashOf(spec: ClusterSpec): string {
  return createHash('sha256').update(JSON.stringify(spec)).digest('hex').slice(0, 16)
}

/**
 * The record that follows `before`. The number stays when nothing but the run is different. In another run no node leaves, because
 * none runs that was taken out. A removed service stays on its list, because its data still lies on the nodes and has to be set aside.
 */
export function nextRecord(before: ConfigRecord | undefined, spec: ClusterSpec, who: Authorship): ConfigRecord {
  const { run, at, by, message, version } = who
  const hash = hashOf(spec)
  const { leaving, removed } = before ? whatLeaves(before, spec) : { leaving: [], removed: [] }
  if (before?.hash === hash && before.run !== run) return { ...before, run, leaving: [], removed }
  const gone = { leaving: before?.run === run ? leaving : [], removed }
  const number = (before?.number ?? 0) + 1
  return { schema: CONFIG_SCHEMA, number, hash, spec, ...gone, run, at, by, message, version }
}

/**
 * Compare-and-swap: `conflict` when the config is not the one that was read as `before`. Rejects as `Store.swap` does, and with
 * UND_BAD_REQUEST when the text is longer than `MOST_SOURCE_BYTES`.
 */
export async function writeConfig(
  store: Pick<Store, 'swap'>,
  before: Revised<ConfigRecord> | undefined,
  record: ConfigRecord,
  source: ConfigSource | null,
): Promise<'done' | 'conflict'> {
  const writes: Write[] = [{ key: KEY.config, value: record }]
  if (record.number !== before?.number) writes.push(...historyWrites(record, source))
  return store.swap([{ key: KEY.config, revision: before?.revision ?? 0 }], writes)
}

function historyWrites(record: ConfigRecord, source: ConfigSource | null) {
  const { number, hash, spec, at, by, message, version, returnsTo } = record
  if (source && Buffer.byteLength(source.text) > MOST_SOURCE_BYTES) {
    const message = `the config has more than ${MOST_SOURCE_BYTES / 1024} KiB of text`
    throw new UnderstudyError('UND_BAD_REQUEST', message)
  }
  const packed = deflateRawSync(JSON.stringify({ spec, source })).toString('base64')
  const entry: Packed = {
    number,
    hash,
    at,
    by,
    message,
    version,
    packed,
    ...(returnsTo !== undefined && { returnsTo }),
  }
  const writes: Write[] = [{ key: KEY.pastConfig(number), value: entry }]
  if (number > KEPT_CONFIGS) writes.push({ key: KEY.pastConfig(number - KEPT_CONFIGS), value: undefined })
  return writes
}

/** Newest first, each with the revision at which it was written. Entries that make no sense are left out. */
export async function readHistory(store: Pick<Store, 'read'>): Promise<Revised<PastConfig>[]> {
  const { entries } = await store.read(KEY.pastConfigs)
  const past = [...entries.values()].flatMap((entry) => {
    const found = packedIn(entry)
    if (!found) return []
    const { packed: _, ...rest } = found
    return [{ ...rest, revision: entry.revision }]
  })
  return past.sort((a, b) => b.number - a.number)
}

/** What the config of this number said; undefined when it is not kept (any more). */
export async function readPastConfig(
  store: Pick<Store, 'read'>,
  number: number,
): Promise<(PastConfig & { readonly spec: ClusterSpec; readonly source: ConfigSource | null }) | undefined> {
  const key = KEY.pastConfig(number)
  const found = packedIn((await store.read(key)).entries.get(key))
  if (!found) return undefined
  const { packed, ...past } = found
  const { spec, source } = JSON.parse(inflateRawSync(Buffer.from(packed, 'base64')).toString('utf8'))
  return { ...past, spec, source }
}

function packedIn(entry: Entry | undefined): Packed | undefined {
  const value = entry?.value as Partial<Packed> | undefined
  const isOne = typeof value?.number === 'number' && typeof value.packed === 'string' && typeof value.at === 'number'
  return isOne ? (value as Packed) : undefined
}
