/**
 * The few bodies that clients send, checked by hand and fully: what is missing, of the wrong type or not known at all
 * is told in one sentence. A field that we do not know is refused, not ignored: `{"sevice": "db"}` must never do
 * something.
 */
import { UnderstudyError } from '../errors.ts'
import type { ResizeRequest, SwitchoverRequest } from './api-types.ts'
import { SCHEMAS, type SchemaName } from './schemas.ts'

const MOST_BODY_BYTES = 64 * 1024

/** The text of a body; what it says of its length is believed only when that is too much. Rejects with BodyTooLarge. */
export async function readBody(
  request: Pick<globalThis.Request, 'headers' | 'body'>,
  most = MOST_BODY_BYTES,
): Promise<string> {
  if (Number(request.headers.get('content-length')) > most) throw new BodyTooLarge(most)
  if (!request.body) return ''
  const decoder = new TextDecoder()
  let text = ''
  let bytes = 0
  for await (const piece of request.body as AsyncIterable<Uint8Array>) {
    bytes += piece.byteLength
    if (bytes > most) throw new BodyTooLarge(most)
    text += decoder.decode(piece, { stream: true })
  }
  return text + decoder.decode()
}

/** 413, where every other bad request is 400. */
export class BodyTooLarge extends UnderstudyError {
  constructor(most: number) {
    super('UND_BAD_REQUEST', `a body may have ${most} bytes at most`)
  }
}

/** No body, or an empty object. Rejects with UND_BAD_REQUEST. */
export function readNothing(text: string): void {
  if (text.trim() !== '') readObject(text, null)
}

/** `{ service, to? }`. Throws UND_BAD_REQUEST. */
export function readSwitchover(text: string): SwitchoverRequest {
  const body = readObject(text, 'SwitchoverRequest')
  const service = readName(body, 'service')
  if (service === undefined) throw bad('“service” is missing: {"service": "NAME", "to": "NODE"}; “to” may be left out')
  const to = readName(body, 'to')
  return to === undefined ? { service } : { service, to }
}

/** `{ service, instances, degrade? }`. Throws UND_BAD_REQUEST. */
export function readResize(text: string): ResizeRequest {
  const body = readObject(text, 'ResizeRequest')
  const service = readName(body, 'service')
  const { instances, degrade } = body
  if (service === undefined || !Number.isSafeInteger(instances))
    throw bad('write {"service": "NAME", "instances": 3}; “degrade” may be added')
  if (degrade === undefined) return { service, instances: instances as number }
  if (degrade !== 'block' && degrade !== 'run-alone') throw bad('“degrade” must be "block" or "run-alone"')
  return { service, instances: instances as number, degrade }
}

/** A JSON object with no other fields than its schema names; null: it may have none. Throws UND_BAD_REQUEST. */
export function readObject(text: string, what: SchemaName | null): Record<string, unknown> {
  const known = Object.keys((what && SCHEMAS[what].properties) ?? {})
  const body = parse(text)
  if (typeof body !== 'object' || body === null || Array.isArray(body)) throw bad('the body must be a JSON object')
  for (const field of Object.keys(body)) {
    if (known.includes(field)) continue
    const understood = known.length === 0 ? 'this call takes no fields' : `understood are: ${known.join(', ')}`
    throw bad(`the field ${JSON.stringify(field)} is not known; ${understood}`)
  }
  return body as Record<string, unknown>
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new UnderstudyError('UND_BAD_REQUEST', 'the body is not JSON', { cause })
  }
}

function readName(body: Record<string, unknown>, field: string): string | undefined {
  const value = body[field]
  if (value === undefined) return undefined
  if (typeof value !== 'string' || value === '') throw bad(`“${field}” must be a name`)
  return value
}

export function bad(message: string): UnderstudyError {
  return new UnderstudyError('UND_BAD_REQUEST', message)
}
