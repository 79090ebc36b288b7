/**
 * What can be learned from a login that is relayed between a client and its server: how it was done, and, for SCRAM, the
 * exchange that together with the server's verifier yields the key (scram.ts). The server alone decides who enters; this
 * only listens. Pure.
 */
import type { CutReason } from '../../../core/replicated/session-counts.ts'
import { attribute, type Exchange, type Keys, learnKeys, type Verifier } from '../../../lib/scram.ts'
import { int32, message, textAt } from '../messages.ts'

/** How this client may be logged in again. */
export type Credential =
  | { readonly kind: 'trust' }
  | { readonly kind: 'password'; readonly password: string }
  | { readonly kind: 'scram'; readonly keys: Keys }
  | { readonly kind: 'none'; readonly reason: CutReason }

/** Codes of the authentication request (`R`). */
export const AUTH = { ok: 0, password: 3, md5: 5, sasl: 10, saslContinue: 11, saslFinal: 12 } as const

export class RelayedLogin {
  #method: 'trust' | 'password' | 'md5' | 'scram' | 'other' = 'trust'
  #password: string | undefined
  #clientFirstBare = ''
  #serverFirst = ''
  #clientFinal = ''
  #answers = 0

  /** An authentication request of the server. */
  fromServer(buffer: Buffer, start: number, end: number): void {
    if (end - start < 4) return
    const code = buffer.readInt32BE(start)
    if (code === AUTH.password) this.#method = 'password'
    else if (code === AUTH.md5) this.#method = 'md5'
    else if (code === AUTH.sasl) this.#method = 'scram'
    else if (code === AUTH.saslContinue) this.#serverFirst = buffer.toString('latin1', start + 4, end)
    else if (code !== AUTH.ok && code !== AUTH.saslFinal) this.#method = 'other'
  }

  /** The client's answer to the last request. */
  fromClient(buffer: Buffer, start: number, end: number): void {
    if (this.#method === 'password') this.#password = textAt(buffer, start, end)
    if (this.#method !== 'scram') return
    this.#answers += 1
    if (this.#answers > 1) {
      this.#clientFinal = buffer.toString('latin1', start, end)
      return
    }
    const mechanism = textAt(buffer, start, end)
    const first = buffer.toString('latin1', start + mechanism.length + 5, end)
    // The header before the bare message is a flag and an authorization identity, each ended by a comma.
    this.#clientFirstBare = first.split(',').slice(2).join(',')
  }

  /** What is known without a request; undefined: the keys can be learned with the verifier. */
  credential(): Credential | undefined {
    switch (this.#method) {
      case 'trust':
        return { kind: 'trust' }
      case 'password':
        return { kind: 'password', password: this.#password ?? '' }
      case 'md5':
        return { kind: 'none', reason: 'md5-login' }
      case 'other':
        return { kind: 'none', reason: 'no-key' }
      case 'scram':
        return undefined
    }
  }

  learn(verifier: Verifier): Keys | undefined {
    const at = this.#clientFinal.lastIndexOf(',p=')
    const proof = Buffer.from(attribute(this.#clientFinal.slice(at + 1), 'p') ?? '', 'base64')
    const exchange: Exchange = {
      clientFirstBare: this.#clientFirstBare,
      serverFirst: this.#serverFirst,
      clientFinalWithoutProof: this.#clientFinal.slice(0, Math.max(0, at)),
    }
    return learnKeys(verifier, exchange, proof)
  }
}

/** The server's list of mechanisms without those that bind to a TLS connection: that one ends at the balancer. */
export function withoutBinding(buffer: Buffer, start: number, end: number): Buffer | undefined {
  if (end - start < 4 || buffer.readInt32BE(start) !== AUTH.sasl) return undefined
  const offered = buffer.toString('latin1', start + 4, end).split('\0')
  const kept = offered.filter((name) => name !== '' && !name.endsWith('-PLUS'))
  return message('R', int32(AUTH.sasl), `${kept.map((name) => `${name}\0`).join('')}\0`)
}
