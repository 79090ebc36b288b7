/** A certificate, perhaps with those that vouch for it, and its key, as PEM. */
import { createPrivateKey, X509Certificate } from 'node:crypto'

export interface Pair {
  readonly cert: string
  readonly key: string
}

/** Are both readable, and does the key belong to the (first) certificate? */
export function fits(pair: Pair): boolean {
  try {
    return new X509Certificate(pair.cert).checkPrivateKey(createPrivateKey(pair.key))
  } catch {
    return false // one of them is no PEM
  }
}

export function isCertificate(pem: string): boolean {
  return canBeRead(() => new X509Certificate(pem))
}

export function isKey(pem: string): boolean {
  return canBeRead(() => createPrivateKey(pem))
}

function canBeRead(read: () => unknown): boolean {
  try {
    read()
    return true
  } catch {
    return false // it is no PEM
  }
}

/** When the (first) certificate ends, on the wall clock. */
export function endsAt({ cert }: Pair): number {
  return Date.parse(new X509Certificate(cert).validTo)
}
