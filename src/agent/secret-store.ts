/**
 * Secrets in the store: sealed when they are set, opened when a program is started. The name and the version are sealed with the
 * value, so that a record that was swapped with another one, or renamed, or set back to an earlier value, does not open.
 */
import { timingSafeEqual } from 'node:crypto'
import type { ClusterSpec } from '../core/model.ts'
import type { ConfigRecord, SecretRecord } from '../core/records.ts'
import { type SealedSecret, usersOf } from '../core/secrets.ts'
import { UnderstudyError } from '../errors.ts'
import { keyIdOf, openText, sealText } from '../lib/sealed-text.ts'
import type { Snapshot, Store } from '../stores/store.ts'
import { isSecret, KEY } from './agreed-records.ts'
import { keepSecretsKey, readSecretsKey } from './secrets-key.ts'

/** Of a value, in UTF-8. Judgement: a chain of certificates has some KiB, and every agent reads all secrets. */
export const MOST_SECRET_BYTES = 64 * 1024

const NAME = /^[a-z][a-z0-9-]{0,62}$/

export interface SecretPlace {
  readonly store: Pick<Store, 'read' | 'swap'>
  /** The file of the key of the nodes. */
  readonly keyFile: string
}

export interface Signature {
  /** Wall clock, in milliseconds. */
  readonly at: number
  readonly by: string
}

/** What may be said of a secret. */
export interface SecretFacts extends Signature {
  readonly name: string
  readonly version: number
}

/** `changed`: false when it had this value already. Rejects with UND_BAD_REQUEST, UND_REFUSED, UND_STATE_UNREADABLE, UND_STORE_*. */
export async function setSecret(
  { store, keyFile }: SecretPlace,
  name: string,
  value: string,
  { at, by }: Signature,
): Promise<{ readonly version: number; readonly changed: boolean }> {
  mustBeName(name)
  mustBeValue(value)
  const snapshot = await store.read('secret/')
  const records = recordsIn(snapshot)
  const key = keyFor(keyFile, records)
  const place = KEY.secret(name)
  const before = records.get(name)
  if (before && isSet(before) && sameText(openWith(key, name, before), value)) {
    return { version: before.version, changed: false }
  }
  const version = (before?.version ?? 0) + 1
  const keyId = keyIdOf(key)
  const record: SecretRecord = { version, keyId, sealed: sealText(key, value, labelOf(name, version)), at, by }
  const revision = snapshot.entries.get(place)?.revision ?? 0
  if ((await store.swap([{ key: place, revision }], [{ key: place, value: record }])) === 'conflict') throw conflict()
  return { version, changed: true }
}

/** The version stays, so that the next value has a higher one. `unwritten`: the config where the store has none yet. */
export async function removeSecret(
  { store }: Pick<SecretPlace, 'store'>,
  name: string,
  { at, by }: Signature,
  unwritten?: ClusterSpec,
): Promise<void> {
  mustBeName(name)
  const { entries } = await store.read('')
  const key = KEY.secret(name)
  const found = entries.get(key)
  const config = entries.get(KEY.config)
  if (!found || !isSecret(found.value) || !isSet(found.value)) {
    const names = secretNames({ entries })
    const list = names.length === 0 ? 'none is set' : `there are: ${names.join(', ')}`
    throw new UnderstudyError('UND_UNKNOWN_SECRET', `there is no secret “${name}” (${list})`)
  }
  const spec = (config?.value as ConfigRecord | undefined)?.spec ?? unwritten
  const users = spec ? usersOf(spec, name) : []
  if (users.length > 0)
    throw new UnderstudyError(
      'UND_REFUSED',
      `${users.join(', ')} ${users.length === 1 ? 'uses' : 'use'} “${name}”: take it out of the config first`,
    )
  const { version, keyId } = found.value
  const conditions = [
    { key, revision: found.revision },
    { key: KEY.config, revision: config?.revision ?? 0 },
  ]
  const removed: SecretRecord = { version, keyId, at, by }
  if ((await store.swap(conditions, [{ key, value: removed }])) === 'conflict') throw conflict()
}

/** Those that are set, by name. */
export function secretsIn(snapshot: Pick<Snapshot, 'entries'>): SecretFacts[] {
  const set = [...recordsIn(snapshot)].filter(([, record]) => isSet(record))
  return set.map(([name, { version, at, by }]) => ({ name, version, at, by }))
}

export function findSecret(snapshot: Pick<Snapshot, 'entries'>, name: string): SealedSecret | undefined {
  const found = recordsIn(snapshot).get(name)
  return found && isSet(found) ? found : undefined
}

export function secretNames(snapshot: Pick<Snapshot, 'entries'>): string[] {
  return secretsIn(snapshot).map(({ name }) => name)
}

/** Throws UND_REFUSED with a sentence that has nothing of the value, and UND_STATE_UNREADABLE. */
export function openSecret(keyFile: string, name: string, secret: SealedSecret): string {
  const key = readSecretsKey(keyFile)
  if (!key) throw new UnderstudyError('UND_REFUSED', `secret “${name}” cannot be opened: there is no ${keyFile}`)
  const value = openWith(key, name, secret)
  if (value !== undefined) return value
  const why =
    secret.keyId === keyIdOf(key)
      ? 'it is damaged, or not what was written under this name: set it again'
      : `it was sealed with another key than that in ${keyFile}`
  throw new UnderstudyError('UND_REFUSED', `secret “${name}” cannot be opened: ${why}`)
}

function openWith(key: Uint8Array, name: string, { version, sealed }: SealedSecret): string | undefined {
  return openText(key, sealed, labelOf(name, version))
}

function labelOf(name: string, version: number): string {
  return `understudy secret\n${name}\n${version}`
}

function isSet(record: SecretRecord): record is SecretRecord & SealedSecret {
  return record.sealed !== undefined
}

/** With secrets in the store the key must be there: a new one could open none of them. */
function keyFor(keyFile: string, records: ReadonlyMap<string, SecretRecord>): Uint8Array {
  const key = readSecretsKey(keyFile)
  if (key) return key
  if (![...records.values()].some(isSet)) return keepSecretsKey(keyFile)
  const message = `${keyFile} is missing, and the store has secrets that were sealed with it: put it back`
  throw new UnderstudyError('UND_STATE_UNREADABLE', message)
}

function recordsIn({ entries }: Pick<Snapshot, 'entries'>): Map<string, SecretRecord> {
  const prefix = KEY.secret('')
  const found = new Map<string, SecretRecord>()
  for (const [key, { value }] of entries)
    if (key.startsWith(prefix) && isSecret(value)) found.set(key.slice(prefix.length), value)
  return found
}

function mustBeName(name: string): void {
  if (NAME.test(name)) return
  const write = 'lower-case letters, digits and dashes, beginning with a letter, at most 63'
  throw new UnderstudyError('UND_BAD_REQUEST', `${JSON.stringify(name)} is no name of a secret; write ${write}`)
}

/** The value is not in the message. */
function mustBeValue(value: string): void {
  const bytes = Buffer.byteLength(value)
  const bad = (why: string) => new UnderstudyError('UND_BAD_REQUEST', `the value cannot be used: ${why}`)
  if (bytes === 0) throw bad('it is empty')
  if (bytes > MOST_SECRET_BYTES) throw bad(`it has ${bytes} bytes, and ${MOST_SECRET_BYTES} are the most`)
  if (value.includes('\0') || /\p{Surrogate}/u.test(value))
    throw bad('it is not text in UTF-8 without zero bytes; encode it, with base64 for instance')
}

function sameText(a: string | undefined, b: string): boolean {
  if (a === undefined) return false
  const [one, other] = [Buffer.from(a), Buffer.from(b)]
  return one.length === other.length && timingSafeEqual(one, other)
}

function conflict(): UnderstudyError {
  return new UnderstudyError('UND_REFUSED', 'conflict with a concurrent change: check the status and retry')
}
