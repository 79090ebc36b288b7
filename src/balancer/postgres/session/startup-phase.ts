/**
 * What a client says before it says who it is: whether it wants TLS, whether it is only there to cancel something. Ends with
 * the startup packet, or with the connection.
 */
import type { Socket } from 'node:net'
import { createSecureContext, type SecureContext, TLSSocket } from 'node:tls'
import type { BalancerSecret } from '../../control-protocol.ts'
import { protocolViolation } from '../protocol-errors.ts'
import { type FirstPacket, readFirstPacket, STARTUP_MAX_BYTES } from '../startup-packet.ts'

export interface Opened {
  /** The client's socket, or TLS on top of it. Its data has no listener yet. */
  readonly client: Socket
  readonly packet: Extract<FirstPacket, { kind: 'startup' | 'cancel' }>
  /** The packet as it came, and what came behind it. */
  readonly bytes: Buffer
  readonly rest: Buffer
}

/** Given by drivers in the handshake of a connection that begins with TLS. */
const ALPN = 'postgresql'

export class StartupPhase {
  readonly #secret: () => BalancerSecret | null
  readonly #done: (opened: Opened | undefined) => void
  #client: Socket
  #seen: Buffer = Buffer.alloc(0)
  #encrypted = false
  #gssRefused = false

  /** `done` gets undefined when the connection is of no use and has been ended. */
  constructor(client: Socket, secret: () => BalancerSecret | null, done: (opened: Opened | undefined) => void) {
    this.#client = client
    this.#secret = secret
    this.#done = done
    client.on('data', this.#onData)
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#seen = this.#seen.length === 0 ? chunk : Buffer.concat([this.#seen, chunk])
    const packet = readFirstPacket(this.#seen)
    switch (packet.kind) {
      case 'incomplete':
        if (this.#seen.length > STARTUP_MAX_BYTES) this.#end('invalid length of startup packet')
        return
      case 'malformed':
        this.#end('invalid startup packet')
        return
      case 'tls':
        this.#encrypt(this.#seen)
        return
      case 'ssl-request':
        this.#answerSsl(packet.length)
        return
      case 'gss-request':
        // Once: a client that asks again did not understand the answer.
        if (this.#gssRefused || this.#seen.length > packet.length) return this.#end('invalid startup packet')
        this.#gssRefused = true
        this.#seen = Buffer.alloc(0)
        this.#client.write('N')
        return
      case 'cancel':
        this.#finish({ client: this.#client, packet, bytes: this.#seen, rest: Buffer.alloc(0) })
        return
      case 'startup': {
        const [bytes, rest] = [this.#seen.subarray(0, packet.length), this.#seen.subarray(packet.length)]
        this.#finish({ client: this.#client, packet, bytes: Buffer.from(bytes), rest })
      }
    }
  }

  #answerSsl(length: number): void {
    // What comes in the clear behind the request would be taken for something that was said under TLS (CVE-2021-23214).
    if (this.#encrypted || this.#seen.length > length) return this.#end('received unencrypted data after SSL request')
    this.#seen = Buffer.alloc(0)
    if (!this.#secret()?.tls) {
      this.#client.write('N')
      return
    }
    this.#client.write('S')
    this.#encrypt(undefined)
  }

  #encrypt(already: Buffer | undefined): void {
    const context = contextOf(this.#secret())
    if (!context || this.#encrypted) return this.#end('TLS is not offered here')
    const raw = this.#client
    raw.off('data', this.#onData)
    raw.pause() // or what is put back would flow away before TLS can take it
    if (already) raw.unshift(already)
    this.#encrypted = true
    this.#seen = Buffer.alloc(0)
    this.#client = new TLSSocket(raw, {
      isServer: true,
      secureContext: context,
      ...(already ? { ALPNProtocols: [ALPN] } : {}),
    })
    this.#client.on('error', () => raw.destroy()) // a handshake that failed; 'close' of the connection follows
    this.#client.on('data', this.#onData)
  }

  #end(why: string): void {
    this.#client.off('data', this.#onData)
    this.#client.end(protocolViolation(why))
    this.#done(undefined)
  }

  #finish(opened: Opened): void {
    this.#client.off('data', this.#onData)
    this.#done(opened)
  }
}

/** Made once for each certificate: it is expensive, and a new certificate is a new object. */
const contexts = new WeakMap<object, SecureContext>()

function contextOf(secret: BalancerSecret | null): SecureContext | undefined {
  if (!secret?.tls) return undefined
  const known = contexts.get(secret.tls)
  if (known) return known
  const context = createSecureContext({ ...secret.tls, minVersion: 'TLSv1.2' })
  contexts.set(secret.tls, context)
  return context
}
