/**
 * What PostgreSQL keeps of a password: `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>` (RFC 5802, RFC 7677). Made
 * here and not by the server, for three reasons: the password is in no statement and so in no log, a server that is set to
 * md5 keeps it right all the same, and what is there can be compared with what should be before anything is written.
 */
import { createHash, createHmac, pbkdf2Sync, randomBytes, timingSafeEqual } from 'node:crypto'

/** As PostgreSQL itself does it (scram-common.h). */
const ITERATIONS = 4_096
const SALT_BYTES = 16

/** For passwords of ASCII characters: anything else would have to be prepared first (SASLprep). */
export function verifierOf(password: string, salt: Buffer = randomBytes(SALT_BYTES), iterations = ITERATIONS): string {
  const salted = pbkdf2Sync(password, salt, iterations, 32, 'sha256')
  const key = (name: string) => createHmac('sha256', salted).update(name).digest()
  const storedKey = createHash('sha256').update(key('Client Key')).digest('base64')
  return `SCRAM-SHA-256$${iterations}:${salt.toString('base64')}$${storedKey}:${key('Server Key').toString('base64')}`
}

/** Was this made from that password? False for what an md5 or no password left. */
export function isVerifierOf(verifier: unknown, password: string): boolean {
  const [, iterations, salt] = /^SCRAM-SHA-256\$(\d{1,7}):([^$]+)\$/.exec(String(verifier)) ?? []
  if (iterations === undefined || salt === undefined) return false
  const again = Buffer.from(verifierOf(password, Buffer.from(salt, 'base64'), Number(iterations)))
  const there = Buffer.from(String(verifier))
  return again.length === there.length && timingSafeEqual(again, there)
}
