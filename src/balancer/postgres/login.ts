/**
 * A login that the balancer does itself, as the user whose session it moves or as its own role: the startup packet has
 * been sent, what the server says comes in, what must be answered goes out. No socket in here.
 */
import { randomBytes } from 'node:crypto'
import type { CutReason } from '../../core/replicated/session-counts.ts'
import {
  attribute,
  clientFinal,
  type Exchange,
  isServerProven,
  type Keys,
  keysFromPassword,
  MECHANISM,
} from '../../lib/scram.ts'
import { int32, message, textAt, textsAt } from './messages.ts'
import { readFields } from './protocol-errors.ts'
import { AUTH, type Credential } from './session/relayed-login.ts'

export type LoginStep =
  | { readonly kind: 'wait' }
  | { readonly kind: 'send'; readonly bytes: Buffer }
  | { readonly kind: 'done' }
  /** The server's own error. */
  | { readonly kind: 'error'; readonly fields: ReadonlyMap<string, string> }
  /** We cannot, or must not, go on. */
  | { readonly kind: 'refused'; readonly why: string }

const WAIT: LoginStep = { kind: 'wait' }

export class Login {
  readonly #credential: Credential
  readonly #nonce: string
  readonly parameters = new Map<string, string>()
  backendPid = 0
  backendKey: Buffer = Buffer.alloc(0)
  #clientFirstBare = ''
  #keys: Keys | undefined
  #exchange: Exchange | undefined
  #proven = false

  constructor(credential: Credential, nonce: string = randomBytes(18).toString('base64')) {
    this.#credential = credential
    this.#nonce = nonce
  }

  /** Why it had nothing to log in with. */
  get reason(): CutReason | undefined {
    return this.#credential.kind === 'none' ? this.#credential.reason : undefined
  }

  /** One message of the server; the body lies at [start, end). */
  hear(type: number, buffer: Buffer, start: number, end: number): LoginStep {
    switch (String.fromCharCode(type)) {
      case 'R':
        return end - start < 4 ? refused('a broken request') : this.#authenticate(buffer, start, end)
      case 'S': {
        const [name = '', value = ''] = textsAt(buffer, start, end, 2)
        this.parameters.set(name, value)
        return WAIT
      }
      case 'K':
        if (end - start < 8) return refused('a broken key')
        this.backendPid = buffer.readInt32BE(start)
        this.backendKey = Buffer.from(buffer.subarray(start + 4, end))
        return WAIT
      case 'E':
        return { kind: 'error', fields: readFields(buffer, start, end) }
      case 'Z':
        return { kind: 'done' }
      default:
        return WAIT // notices, and the negotiation of a protocol version that went the same way the first time
    }
  }

  #authenticate(buffer: Buffer, start: number, end: number): LoginStep {
    const credential = this.#credential
    const isScram = this.#clientFirstBare !== ''
    switch (buffer.readInt32BE(start)) {
      case AUTH.ok:
        return isScram && !this.#proven ? refused('the server did not prove that it knows the user') : WAIT
      case AUTH.password:
        if (credential.kind !== 'password') return refused('it asks for a password')
        return { kind: 'send', bytes: message('p', `${credential.password}\0`) }
      case AUTH.sasl:
        return this.#first(textsAt(buffer, start + 4, end, 8))
      case AUTH.saslContinue:
        return this.#final(buffer.toString('latin1', start + 4, end))
      case AUTH.saslFinal:
        this.#proven =
          this.#keys !== undefined &&
          this.#exchange !== undefined &&
          isServerProven(this.#keys, this.#exchange, textAt(buffer, start + 4, end))
        return this.#proven ? WAIT : refused('the server did not prove that it knows the user')
      default:
        return refused('it asks for another kind of login')
    }
  }

  #first(mechanisms: readonly string[]): LoginStep {
    const { kind } = this.#credential
    if (kind !== 'scram' && kind !== 'password') return refused('it asks for SCRAM')
    if (!mechanisms.includes(MECHANISM)) return refused(`it does not offer ${MECHANISM}`)
    this.#clientFirstBare = `n=,r=${this.#nonce}`
    const first = `n,,${this.#clientFirstBare}`
    return { kind: 'send', bytes: message('p', `${MECHANISM}\0`, int32(first.length), first) }
  }

  #final(serverFirst: string): LoginStep {
    const nonce = attribute(serverFirst, 'r') ?? ''
    if (!nonce.startsWith(this.#nonce) || nonce === this.#nonce) return refused('it answers with another nonce')
    this.#exchange = {
      clientFirstBare: this.#clientFirstBare,
      serverFirst,
      clientFinalWithoutProof: `c=biws,r=${nonce}`,
    }
    this.#keys = this.#keysFor(serverFirst)
    if (!this.#keys) return refused('it asks for more work than is sensible')
    return { kind: 'send', bytes: message('p', clientFinal(this.#keys, this.#exchange)) }
  }

  #keysFor(serverFirst: string): Keys | undefined {
    const credential = this.#credential
    if (credential.kind === 'scram') return credential.keys
    const iterations = Number(attribute(serverFirst, 'i'))
    if (credential.kind !== 'password' || !(iterations >= 1 && iterations <= 1_000_000)) return undefined
    return keysFromPassword(credential.password, Buffer.from(attribute(serverFirst, 's') ?? '', 'base64'), iterations)
  }
}

function refused(why: string): LoginStep {
  return { kind: 'refused', why }
}
