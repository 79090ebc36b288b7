/**
 * What may be asked of a store. Checked by every adapter, so that a request that one engine would take and another
 * would bend (a key with a zero byte, a value that is not JSON, a key written twice) fails on all of them, and in the
 * tests already. Such a request is a bug, never an operating error.
 */
import { assert } from '../lib/assert.ts'
import type { Condition, Write } from './store.ts'

/** Visible ASCII without blanks: the same bytes and the same order in JavaScript, SQLite and etcd. */
const KEY = /^[\x21-\x7e]{1,512}$/

/** A write as stores keep it: the value as JSON text, `undefined` for a removal. */
export interface CheckedWrite {
  readonly key: string
  readonly json: string | undefined
  readonly lease: string | undefined
}

export function checkSwap(conditions: readonly Condition[], writes: readonly Write[]): CheckedWrite[] {
  for (const { key, revision } of conditions) {
    checkKey(key)
    assert(Number.isSafeInteger(revision) && revision >= 0, `not a revision: ${revision}`)
  }
  const written = new Set<string>()
  return writes.map(({ key, value, lease }) => {
    checkKey(key)
    assert(!written.has(key), `one swap writes the key ${key} twice`)
    written.add(key)
    if (value === undefined) return { key, json: undefined, lease: undefined }
    const json = JSON.stringify(value) as string | undefined
    assert(json !== undefined, `the value for ${key} is not JSON`)
    return { key, json, lease }
  })
}

export function checkTtl(ttlMs: number): void {
  assert(Number.isFinite(ttlMs) && ttlMs > 0, `a lease cannot live for ${ttlMs} ms`)
}

function checkKey(key: string): void {
  assert(KEY.test(key), `a key is 1 to 512 visible ASCII characters, not ${JSON.stringify(key)}`)
}
