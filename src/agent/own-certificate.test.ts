import { X509Certificate } from 'node:crypto'
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, createServer, type TLSSocket } from 'node:tls'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ownCertificate } from './own-certificate.ts'

const DAY_MS = 86_400_000
const node = { name: 'a', address: '127.0.0.1', zone: 'z', region: 'r' }
let root: string
let folder: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'understudy-tls-'))
  folder = join(root, 'door-tls')
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

test('it is made once, kept where only its owner can read it, and found again', async () => {
  const now = Date.now()
  const made = await ownCertificate(folder, node, now)
  expect(await ownCertificate(folder, node, now + 9 * 365 * DAY_MS)).toEqual(made)
  expect(statSync(join(folder, 'key.pem')).mode & 0o777).toBe(0o600)
  expect(statSync(folder).mode & 0o777).toBe(0o700)
  const cert = new X509Certificate(made.cert)
  expect(cert.subjectAltName).toBe('IP Address:127.0.0.1, DNS:a')
  expect(cert.ca).toBe(false)
  expect(Date.parse(cert.validFrom)).toBeLessThan(now)
  expect(Date.parse(cert.validTo)).toBeGreaterThan(now + 3_649 * DAY_MS)
})

test('another one is made when it is about to end, for another address, or when the two files do not fit together', async () => {
  const now = Date.now()
  const first = await ownCertificate(folder, node, now)
  const later = now + 3_630 * DAY_MS
  const second = await ownCertificate(folder, node, later)
  expect(second).not.toEqual(first)
  expect(Date.parse(new X509Certificate(second.cert).validTo)).toBeGreaterThan(later + 3_649 * DAY_MS)
  const third = await ownCertificate(folder, { ...node, address: '127.0.0.2' }, later)
  expect(third).not.toEqual(second)
  writeFileSync(join(folder, 'key.pem'), first.key)
  const fourth = await ownCertificate(folder, { ...node, address: '127.0.0.2' }, later)
  expect([first, second, third]).not.toContainEqual(fourth)
  expect(new Set([first, second, third, fourth].map(({ cert }) => new X509Certificate(cert).serialNumber)).size).toBe(4)
})

test('a client that has the file as its root knows whom it speaks to, by address and by name', async () => {
  const pair = await ownCertificate(folder, node, Date.now())
  const server = createServer(pair, (socket) => socket.end('hello'))
  server.on('tlsClientError', () => {}) // a client that does not trust it hangs up: that is the point
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  const visit = (options: object) =>
    new Promise<string>((resolve, reject) => {
      const socket: TLSSocket = connect({ host: '127.0.0.1', port, ...options })
      socket.once('error', reject)
      socket.once('data', (data) => {
        resolve(String(data))
        socket.destroy()
      })
    })
  try {
    expect(await visit({ ca: pair.cert })).toBe('hello')
    expect(await visit({ ca: pair.cert, servername: 'a' })).toBe('hello')
    await expect(visit({})).rejects.toMatchObject({ code: 'DEPTH_ZERO_SELF_SIGNED_CERT' })
    await expect(visit({ ca: pair.cert, servername: 'b' })).rejects.toMatchObject({
      code: 'ERR_TLS_CERT_ALTNAME_INVALID',
    })
  } finally {
    server.close()
  }
})
