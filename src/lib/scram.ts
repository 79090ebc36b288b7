/**
 * SCRAM-SHA-256 (RFC 5802, RFC 7677): what a server keeps of a password, and the two halves that a balancer needs.
 *
 * A client proves that it knows its password by ClientProof = ClientKey XOR HMAC(StoredKey, AuthMessage). With the
 * exchange and the server's verifier (StoredKey, ServerKey), ClientKey can be taken out of the proof: that is how the
 * balancer learns, from a login that the server itself has judged, what it needs to log in to the next primary as the
 * same user. The verifier alone is not enough for that, nor is the exchange alone. (PgBouncer and Multigres pass logins
 * through likewise.)
 */
import { createHash, createHmac, pbkdf2Sync, randomBytes, timingSafeEqual } from 'node:crypto'

export const MECHANISM = 'SCRAM-SHA-256'

/** What PostgreSQL keeps of a password: `SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey`. */
export interface Verifier {
  readonly storedKey: Buffer
  readonly serverKey: Buffer
}

/** What proves a user's identity without a password. */
export interface Keys {
  readonly clientKey: Buffer
  readonly serverKey: Buffer
}

/** The three texts that both sides sign. */
export interface Exchange {
  readonly clientFirstBare: string
  readonly serverFirst: string
  readonly clientFinalWithoutProof: string
}

/** As PostgreSQL itself does it (scram-common.h). */
const ITERATIONS = 4_096
const SALT_BYTES = 16

/**
 * What PostgreSQL is to keep of a password. Made here and not by the server, for three reasons: the password is in no statement and so in no
 * log, a server that is set to md5 keeps it right all the same, and what is there can be compared with what should be before
 * anything is written.
 */
export function verifierOf(password: string, salt: Buffer = randomBytes(SALT_BYTES), iterations = ITERATIONS): string {
  const { clientKey, serverKey } = keysFromPassword(password, salt, iterations)
  const storedKey = sha256(clientKey).toString('base64')
  return `SCRAM-SHA-256$${iterations}:${salt.toString('base64')}$${storedKey}:${serverKey.toString('base64')}`
}

/** Was this made from that password? False for what an md5 or no password left. */
export function isVerifierOf(verifier: unknown, password: string): boolean {
  const [, iterations, salt] = /^SCRAM-SHA-256\$(\d{1,7}):([^$]+)\$/.exec(String(verifier)) ?? []
  if (iterations === undefined || salt === undefined) return false
  const again = Buffer.from(verifierOf(password, Buffer.from(salt, 'base64'), Number(iterations)))
  const there = Buffer.from(String(verifier))
  return again.length === there.length && timingSafeEqual(again, there)
}

export function readVerifier(text: string): Verifier | undefined {
  const found = /^SCRAM-SHA-256\$\d+:[^$]+\$([^:]+):(.+)$/.exec(text)
  const [storedKey, serverKey] = [found?.[1], found?.[2]].map((part) => Buffer.from(part ?? '', 'base64'))
  return storedKey?.length === 32 && serverKey?.length === 32 ? { storedKey, serverKey } : undefined
}

/** Undefined when the proof was not made with what the verifier was made of. */
export function learnKeys(verifier: Verifier, exchange: Exchange, proof: Buffer): Keys | undefined {
  if (proof.length !== 32) return undefined
  const clientKey = xor(proof, hmac(verifier.storedKey, authMessage(exchange)))
  return timingSafeEqual(sha256(clientKey), verifier.storedKey)
    ? { clientKey, serverKey: verifier.serverKey }
    : undefined
}

export function keysFromPassword(password: string, salt: Buffer, iterations: number): Keys {
  const salted = pbkdf2Sync(password.normalize('NFKC'), salt, iterations, 32, 'sha256')
  return { clientKey: hmac(salted, 'Client Key'), serverKey: hmac(salted, 'Server Key') }
}

/** The client's last message: what it answers to the server's first. */
export function clientFinal(keys: Keys, exchange: Exchange): string {
  const signature = hmac(sha256(keys.clientKey), authMessage(exchange))
  return `${exchange.clientFinalWithoutProof},p=${xor(keys.clientKey, signature).toString('base64')}`
}

/** Has the server shown that it knows the verifier too? `serverFinal` is its last message, `v=…`. */
export function isServerProven(keys: Keys, exchange: Exchange, serverFinal: string): boolean {
  const shown = Buffer.from(attribute(serverFinal, 'v') ?? '', 'base64')
  const expected = hmac(keys.serverKey, authMessage(exchange))
  return shown.length === expected.length && timingSafeEqual(shown, expected)
}

/** The value of `name=` in a comma-separated message. */
export function attribute(text: string, name: string): string | undefined {
  return text
    .split(',')
    .find((part) => part.startsWith(`${name}=`))
    ?.slice(2)
}

function authMessage({ clientFirstBare, serverFirst, clientFinalWithoutProof }: Exchange): string {
  return `${clientFirstBare},${serverFirst},${clientFinalWithoutProof}`
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text, 'latin1').digest()
}

function sha256(bytes: Buffer): Buffer {
  return createHash('sha256').update(bytes).digest()
}

function xor(a: Buffer, b: Buffer): Buffer {
  return Buffer.from(a.map((byte, at) => byte ^ (b[at] ?? 0)))
}
