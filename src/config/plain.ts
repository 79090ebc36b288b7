/**
 * A config is data. Whatever a file exports is first copied into plain JSON, so that nothing after this can meet a
 * getter, a promise, a cycle or an inherited property, and so that what is compiled here equals what another node
 * compiles from the same text. Functions and the like are complained about; `undefined` is the same as not written.
 */
import { type Findings, pathOf } from './complaint.ts'

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }

const DEEPEST = 32
const WRITE = 'plain data: text, numbers, true or false, lists and objects'

/** The copy; undefined when the value is nothing that JSON can hold. What could not be copied is left out of it. */
export function toPlain(value: unknown, findings: Findings): Json | undefined {
  try {
    return copy(value, [], findings)
  } catch (error) {
    // A getter or a proxy ran while we looked, and threw: the last time that anything of theirs runs.
    const why = error instanceof Error ? error.message : String(error)
    findings.complain('(the whole config)', `cannot be read: ${why}`, WRITE)
    return undefined
  }
}

function copy(value: unknown, at: readonly PropertyKey[], findings: Findings): Json | undefined {
  if (value === undefined || value === null || typeof value === 'boolean' || typeof value === 'string') return value
  if (typeof value === 'number' && Number.isFinite(value)) return value
  const strange = at.length > DEEPEST ? 'nested too deeply' : strangeness(value)
  if (strange !== undefined) {
    findings.complain(pathOf(...asWritten(at)) || '(the whole config)', `is ${strange}`, WRITE)
    return undefined
  }
  return Array.isArray(value) ? copyList(value, at, findings) : copyObject(value as object, at, findings)
}

function copyList(list: readonly unknown[], at: readonly PropertyKey[], findings: Findings): Json {
  return list.map((item, index) => copy(item, [...at, index], findings)).filter((item) => item !== undefined)
}

function copyObject(value: object, at: readonly PropertyKey[], findings: Findings): Json {
  const result: Record<string, Json> = {}
  for (const key of Object.keys(value)) {
    if (key === '__proto__') {
      findings.complain(pathOf(...asWritten(at), key), 'is a name that JavaScript keeps for itself', 'another name')
      continue
    }
    const inner = copy((value as Record<string, unknown>)[key], [...at, key], findings)
    if (inner !== undefined) result[key] = inner
  }
  return result
}

/** `services.web.run`, not `services.web.options.run`: a caller of `http({ run })` never writes `options`. */
function asWritten(at: readonly PropertyKey[]): readonly PropertyKey[] {
  return at[0] === 'services' && at[2] === 'options' ? at.toSpliced(2, 1) : at
}

/** What makes a value no plain data; undefined when it is a plain object or a list. */
function strangeness(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null) return `${typeof value === 'number' ? value : `a ${typeof value}`}`
  if (value instanceof Promise) return 'a promise'
  if (Array.isArray(value)) return undefined
  const prototype: unknown = Object.getPrototypeOf(value)
  // An object of another realm (a test's sandbox) has another Object.prototype, so the name is compared, not the object.
  const plain = prototype === null || Object.getPrototypeOf(prototype) === null
  return plain
    ? undefined
    : `a ${(prototype as { constructor?: { name?: string } }).constructor?.name ?? 'class instance'}`
}
