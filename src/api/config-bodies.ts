/** The bodies of the calls that change the config, checked as those of request-bodies.ts are. */

import type { ClusterSpec } from '../core/model.ts'
import { specFault } from '../core/spec-shape.ts'
import type { AbortRequest, ApplyRequest, ConfigSourceText, RollbackRequest } from './api-types.ts'
import { bad, readObject } from './request-bodies.ts'

/** A compiled config and its text: a thousand services fit. */
export const MOST_CONFIG_BYTES = 4 * 1024 * 1024

/** Throws UND_BAD_REQUEST. */
export function readApply(text: string): ApplyRequest {
  const body = readObject(text, 'ApplyRequest')
  const { spec, version } = body
  const expect = readNumber(body, 'expect')
  const schema = readNumber(body, 'schema')
  if (expect === undefined || typeof version !== 'string' || spec === undefined)
    throw bad(
      'write {"spec": {…}, "expect": 3, "version": "1.2.3"}; “source”, “message”, “by” and “schema” may be added',
    )
  // What a later schema looks like is not known here: it is refused for its number.
  const fault = schema === undefined || schema <= 1 ? specFault(spec) : undefined
  if (fault !== undefined) throw bad(`“spec” is no compiled config: ${fault}`)
  const source = readSource(body.source)
  return {
    spec: spec as ClusterSpec,
    expect,
    version,
    ...(schema !== undefined && { schema }),
    ...(source && { source }),
    ...readWords(body),
  }
}

/** `{ to, expect?, message?, by? }`. Throws UND_BAD_REQUEST. */
export function readRollback(text: string): RollbackRequest {
  const body = readObject(text, 'RollbackRequest')
  const to = readNumber(body, 'to')
  if (to === undefined) throw bad('write {"to": 3}; “expect”, “message” and “by” may be added')
  const expect = readNumber(body, 'expect')
  return { to, ...(expect !== undefined && { expect }), ...readWords(body) }
}

/** Nothing, or `{ expect?, by? }`. Throws UND_BAD_REQUEST. */
export function readAbort(text: string): AbortRequest {
  const body = text.trim() === '' ? {} : readObject(text, 'AbortRequest')
  const expect = readNumber(body, 'expect')
  return { ...(expect !== undefined && { expect }), ...readWords(body) }
}

/** Nothing, or `{ by? }`: who asks. Throws UND_BAD_REQUEST. */
export function readAsker(text: string): string {
  return text.trim() === '' ? '' : (readWords(readObject(text, 'ServiceRequest')).by ?? '')
}

function readNumber(body: Record<string, unknown>, field: string): number | undefined {
  const value = body[field]
  if (value === undefined || (Number.isSafeInteger(value) && (value as number) >= 0)) return value as number | undefined
  throw bad(`“${field}” must be a whole number`)
}

const LONGEST = { message: 2_000, by: 200 }

function readWords(body: Record<string, unknown>): { readonly message?: string; readonly by?: string } {
  const words: Record<string, string> = {}
  for (const [field, most] of Object.entries(LONGEST)) {
    const value = body[field]
    if (value === undefined) continue
    if (typeof value !== 'string' || value.length > most)
      throw bad(`“${field}” must be a text of at most ${most} characters`)
    words[field] = value
  }
  return words
}

function readSource(value: unknown): ConfigSourceText | undefined {
  if (value === undefined || value === null) return undefined
  const { name, text } = value as Partial<ConfigSourceText>
  if (typeof name !== 'string' || typeof text !== 'string') throw bad('“source” must be {"name": "FILE", "text": "…"}')
  return { name, text }
}
