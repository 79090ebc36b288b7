import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { BalancerSecret } from '../balancer/control-protocol.ts'
import type { ServiceSpec } from '../core/model.ts'
import { VirtualClock } from '../lib/virtual-clock.ts'
import { EndpointSecrets } from './endpoint-secrets.ts'
import { ownCertificate } from './own-certificate.ts'
import type { Entry } from './repeats.ts'

const DAY_MS = 86_400_000
const node = { name: 'a', address: '127.0.0.1', zone: 'z', region: 'r' }
let root: string
let secrets: EndpointSecrets | undefined
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'understudy-secrets-'))
})
afterEach(() => {
  secrets?.stop()
  rmSync(root, { recursive: true, force: true })
})

function begin(tls: unknown, clock = new VirtualClock()) {
  const confided: (readonly BalancerSecret[])[] = []
  const told: Entry[] = []
  const services = [
    { name: 'db', kind: 'postgres', options: { tls } },
    { name: 'web', kind: 'http', options: {} },
  ] as unknown as ServiceSpec[]
  secrets = new EndpointSecrets({
    cluster: { services },
    node,
    nodeDir: root,
    clock,
    secretFor: (purpose) => `secret of the ${purpose}`,
    balancer: { confide: (all) => confided.push(all) },
    tell: (entry) => told.push(entry),
  })
  return { secrets, confided, told, clock }
}

test('a balancer is told its login and a certificate, once and not again while nothing changes', async () => {
  const { secrets, confided, told } = begin('own')
  await secrets.start()
  await secrets.look()
  expect(confided).toHaveLength(1)
  expect(confided[0]).toMatchObject([
    { service: 'db', user: 'understudy_door', password: 'secret of the door of db', database: 'postgres' },
  ])
  expect(confided[0]?.[0]?.tls?.cert).toContain('BEGIN CERTIFICATE')
  expect(told).toEqual([])
})

test('without TLS the login alone is told', async () => {
  const { secrets, confided } = begin('none')
  await secrets.start()
  expect(confided[0]?.[0]?.tls).toBeNull()
})

test('files are read again; what cannot be used is told once and changes nothing; an end that is near is told', async () => {
  const clock = new VirtualClock()
  const [cert, key] = [join(root, 'db.crt'), join(root, 'db.key')]
  const { secrets, confided, told } = begin({ cert, key }, clock)
  await secrets.start()
  expect(confided[0]?.[0]?.tls).toBeNull()
  expect(told.map(({ why }) => why)).toEqual([expect.stringMatching(/ENOENT.*: the endpoint speaks no TLS$/)])
  const write = async (name: string, atMs: number) => {
    const pair = await ownCertificate(join(root, name), node, atMs)
    writeFileSync(cert, pair.cert)
    writeFileSync(key, pair.key)
    return pair
  }
  const first = await write('first', clock.wall())
  await secrets.look()
  expect(confided[1]?.[0]?.tls).toEqual(first)
  expect(told.at(-1)).toMatchObject({ rule: 'endpoint-certificate', kind: 'ended' })
  writeFileSync(key, 'nonsense')
  await secrets.look()
  await secrets.look()
  expect(confided).toHaveLength(2)
  expect(told).toHaveLength(3)
  expect(told[2]?.why).toContain('the last one stays in use')
  const old = await write('second', clock.wall() - 3_640 * DAY_MS)
  await secrets.look()
  expect(confided[2]?.[0]?.tls).toEqual(old)
  expect(told.at(-1)?.why).toMatch(/db\.crt ends on /)
})
