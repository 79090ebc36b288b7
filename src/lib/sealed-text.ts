/**
 * Text that only the holder of a key can read, and that cannot be taken for another: AES-256-GCM with a random nonce. What it is
 * (`label`) is sealed with it: a text that was moved to another place, or whose label was edited, does not open.
 */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto'

export const KEY_BYTES = 32
/** NIST SP 800-38D: 96 bits; random ones may be used 2^32 times with one key. */
const NONCE_BYTES = 12
const TAG_BYTES = 16
const ALGORITHM = 'aes-256-gcm'

/** In base64: the nonce, what is sealed, the tag. */
export function sealText(key: Uint8Array, text: string, label: string): string {
  const nonce = randomBytes(NONCE_BYTES)
  const cipher = createCipheriv(ALGORITHM, key, nonce)
  cipher.setAAD(Buffer.from(label))
  return Buffer.concat([nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]).toString('base64')
}

/** Undefined: it was sealed with another key, for another label, or was changed. Which of them cannot be told. */
export function openText(key: Uint8Array, sealed: string, label: string): string | undefined {
  const bytes = Buffer.from(sealed, 'base64')
  if (bytes.length < NONCE_BYTES + TAG_BYTES) return undefined
  const decipher = createDecipheriv(ALGORITHM, key, bytes.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES })
  decipher.setAAD(Buffer.from(label))
  decipher.setAuthTag(bytes.subarray(-TAG_BYTES))
  try {
    return decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES), undefined, 'utf8') + decipher.final('utf8')
  } catch {
    return undefined // the tag does not fit
  }
}

/** Names a key without telling anything of it. */
export function keyIdOf(key: Uint8Array): string {
  return createHash('sha256').update('understudy key\n').update(key).digest('hex').slice(0, 16)
}
