/**
 * The first packet of a connection, which has no type byte: a length, a code, and what the code asks for. Pure. Everything
 * that anyone may send before a login is read here, so it is bounded: PostgreSQL accepts 10,000 bytes, and so do we.
 */
import { textAt } from './messages.ts'

/** MAX_STARTUP_PACKET_LENGTH in PostgreSQL's pqcomm.h. */
export const STARTUP_MAX_BYTES = 10_000

const CANCEL = 80_877_102
const SSL = 80_877_103
const GSS = 80_877_104
/** Ours: a cancel request that one balancer forwards to another. It is never forwarded a second time. */
const CANCEL_HANDED_ON = 80_877_190
/** The first byte of a TLS handshake; no length of a first packet begins so. */
const TLS_HANDSHAKE = 0x16

export type FirstPacket =
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'malformed' }
  /** TLS without asking first (libpq's sslnegotiation=direct, PostgreSQL 17). */
  | { readonly kind: 'tls' }
  | { readonly kind: 'ssl-request'; readonly length: number }
  | { readonly kind: 'gss-request'; readonly length: number }
  | { readonly kind: 'cancel'; readonly pid: number; readonly key: Buffer; readonly handedOn: boolean }
  | {
      readonly kind: 'startup'
      readonly length: number
      /** The minor version of protocol 3 that is asked for; the server negotiates it. */
      readonly minor: number
      readonly parameters: ReadonlyMap<string, string>
    }

export function readFirstPacket(buffer: Buffer): FirstPacket {
  if (buffer[0] === TLS_HANDSHAKE) return { kind: 'tls' }
  if (buffer.length < 4) return { kind: 'incomplete' }
  const length = buffer.readUInt32BE(0)
  if (length < 8 || length > STARTUP_MAX_BYTES) return { kind: 'malformed' }
  if (buffer.length < length) return { kind: 'incomplete' }
  const code = buffer.readUInt32BE(4)
  if (code === SSL) return length === 8 ? { kind: 'ssl-request', length } : { kind: 'malformed' }
  if (code === GSS) return length === 8 ? { kind: 'gss-request', length } : { kind: 'malformed' }
  if (code === CANCEL || code === CANCEL_HANDED_ON) {
    if (length < 16) return { kind: 'malformed' }
    const key = Buffer.from(buffer.subarray(12, length))
    return { kind: 'cancel', pid: buffer.readInt32BE(8), key, handedOn: code === CANCEL_HANDED_ON }
  }
  // An older major version is let through: the server says what it thinks of it.
  const parameters = readParameters(buffer, length)
  return parameters ? { kind: 'startup', length, minor: code & 0xffff, parameters } : { kind: 'malformed' }
}

/** Pairs of zero-terminated texts, ended by an empty name. */
function readParameters(buffer: Buffer, length: number): Map<string, string> | undefined {
  const parameters = new Map<string, string>()
  if (buffer[length - 1] !== 0) return undefined
  let at = 8
  while (at < length - 1) {
    const name = textAt(buffer, at, length)
    at += name.length + 1
    if (at >= length) return undefined
    const value = textAt(buffer, at, length)
    at += value.length + 1
    parameters.set(name, value)
  }
  return at === length - 1 ? parameters : undefined
}

export function startupPacket(parameters: ReadonlyMap<string, string>): Buffer {
  const pairs = [...parameters].map(([name, value]) => `${name}\0${value}\0`).join('')
  const body = Buffer.from(`${pairs}\0`, 'latin1')
  const head = Buffer.alloc(8)
  head.writeUInt32BE(body.length + 8, 0)
  head.writeUInt32BE(0x3_0000, 4)
  return Buffer.concat([head, body])
}

export function cancelPacket(pid: number, key: Buffer, handedOn: boolean): Buffer {
  const head = Buffer.alloc(12)
  head.writeUInt32BE(12 + key.length, 0)
  head.writeUInt32BE(handedOn ? CANCEL_HANDED_ON : CANCEL, 4)
  head.writeInt32BE(pid | 0, 8)
  return Buffer.concat([head, key])
}

/** `replication` in the startup packet as PostgreSQL reads it: a boolean, or `database`. */
export function isReplication(parameters: ReadonlyMap<string, string>): boolean {
  const value = parameters.get('replication')?.toLowerCase()
  return value !== undefined && !['', 'false', 'off', 'no', '0', 'f', 'n'].includes(value)
}
