/**
 * The certificate that a node makes for its own balancer, once, so that clients can ask for TLS with nothing set up. It
 * is signed by itself: it protects against eavesdropping, and a client that wants to verify the server uses the file as
 * its root (`sslrootcert=cert.pem sslmode=verify-full`). With a certificate authority, name files in the config (`tls:
 * { cert, key }`).
 *
 * Ten years: each renewal breaks every client that pins the file, and a shorter life would protect nothing here,
 * because it could not be revoked and the key never leaves the node's folder. It begins a day early, for clients whose
 * clocks are behind. ECDSA on P-256, which every libpq, JDBC and Node since 2015 speaks, and which is the fastest to
 * sign with.
 */
import { webcrypto, X509Certificate } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { NodeSpec } from '../core/model.ts'
import { readText, unreadable, writeFileAtomic } from '../lib/files.ts'
import { endsAt, fits, isCertificate, isKey, type Pair } from './certificate-pair.ts'

const DAY_MS = 86_400_000
const LASTS_MS = 3_650 * DAY_MS
/** Made anew when it ends within this: far longer than any agent is ever away. */
const RENEW_BEFORE_MS = 30 * DAY_MS

/**
 * The one that is there, or a new one when there is none, when it ends soon, or when it is for another name. `wallMs`: the time
 * of day. Rejects with UND_STATE_UNREADABLE when there is one that cannot be used: clients may have pinned it.
 */
export async function ownCertificate(folder: string, node: NodeSpec, wallMs: number): Promise<Pair> {
  const [certPath, keyPath] = [join(folder, 'cert.pem'), join(folder, 'key.pem')]
  const there = readPair(certPath, keyPath)
  if (there && isGood(there, node, wallMs)) return there
  const made = await makeCertificate(node, wallMs)
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  // After a death between the two they do not fit together, and the next agent makes another one.
  writeFileAtomic(keyPath, made.key)
  writeFileAtomic(certPath, made.cert)
  return made
}

function isGood(pair: Pair, { name, address }: NodeSpec, wallMs: number): boolean {
  if (!fits(pair)) return false
  const cert = new X509Certificate(pair.cert)
  const isNamed = cert.checkHost(name) !== undefined && cert.checkIP(address) !== undefined
  return isNamed && Date.parse(cert.validFrom) <= wallMs && endsAt(pair) - wallMs > RENEW_BEFORE_MS
}

/** Undefined when one of them is missing: the first start, or one that ended between the two. */
function readPair(certPath: string, keyPath: string): Pair | undefined {
  const [cert, key] = [readText(certPath), readText(keyPath)]
  if (cert !== undefined && !isCertificate(cert)) throw unreadable(certPath, 'it is damaged: it holds no certificate')
  if (key !== undefined && !isKey(key)) throw unreadable(keyPath, 'it is damaged: it holds no private key')
  return cert === undefined || key === undefined ? undefined : { cert, key }
}

async function makeCertificate({ name, address }: NodeSpec, wallMs: number): Promise<Pair> {
  // Only here, because a node needs them once in ten years: its libraries take longer to load than all else in an agent.
  await import('reflect-metadata')
  const x509 = await import('@peculiar/x509')
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const cert = await x509.X509CertificateGenerator.createSelfSigned({
    name: [{ CN: [name] }, { O: ['Understudy'] }],
    notBefore: new Date(wallMs - DAY_MS),
    notAfter: new Date(wallMs + LASTS_MS),
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension([
        { type: 'ip', value: address },
        { type: 'dns', value: name },
      ]),
    ],
  })
  const key = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64')
  return { cert: `${cert.toString('pem')}\n`, key: pem('PRIVATE KEY', key) }
}

function pem(what: string, base64: string): string {
  return `-----BEGIN ${what}-----\n${base64.replace(/.{64}/g, '$&\n').trimEnd()}\n-----END ${what}-----\n`
}
