/** `up --detach`, with a made-up program in the background and a healthy cluster from before. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { type ApiServer, serveApi } from '../api/api-server.ts'
import type { RedundancyState } from '../api/api-types.ts'
import { FakeSurface } from '../api/fake-surface.ts'
import type { ClusterSpec } from '../core/model.ts'
import { StateFolder } from '../local/cluster-folder.ts'
import { detach } from './detach.ts'
import { fakeIo } from './fake-io.ts'

const program = process.argv[1] ?? ''
let folder: string
let state: StateFolder
let api: ApiServer
let spec: ClusterSpec
let surface: FakeSurface

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'understudy-detach-'))
  state = new StateFolder(join(folder, '.understudy'))
  state.create()
  surface = new FakeSurface()
  api = await serveApi({ surface, host: '127.0.0.1', port: 0, token: state.keepToken() })
  const { nodes, services } = surface.current
  const at = nodes.map((node) => ({ ...node, address: '127.0.0.1' }))
  spec = { name: 'shop', apiPort: api.port, nodes: at, services } as unknown as ClusterSpec
})

afterEach(async () => {
  process.argv[1] = program
  await api.close()
  rmSync(folder, { recursive: true })
})

function background(program: string): void {
  const script = join(folder, 'up.cjs')
  writeFileSync(script, program)
  process.argv[1] = script
}

it('says on a pipe what is waited for', async () => {
  background(`setTimeout(() => process.send?.('looks after it'), 300); setTimeout(() => process.exit(0), 3_000)`)
  expect((await detached()).complaints).toMatch(/shop: waiting for the first agent to answer \(/)
})

async function detached(io = fakeIo({ cwd: folder }), timeoutMs = 5_000) {
  const code = await detach(io, { spec, file: 'x.ts', state, json: false, timeoutMs })
  return { code, complaints: io.complained.join('\n'), text: io.text() }
}

it('does not take the health of a cluster from before for that of a start that is refused', async () => {
  background(`setTimeout(() => { console.error('an older version of this config runs'); process.exit(3) }, 700)`)
  expect(await detached()).toMatchObject({
    code: 3,
    complaints: expect.stringMatching(/an older version of this config runs$/),
  })
})

it('returns when it looks after the cluster and every service is healthy, and leaves it alone', async () => {
  background(`setTimeout(() => process.send?.('looks after it'), 300); setTimeout(() => process.exit(0), 3_000)`)
  expect(await detached()).toMatchObject({ code: 0, text: expect.stringContaining('every service is healthy') })
})

it('does not wait for a service that an operator stopped', async () => {
  background(`process.send?.('looks after it'); setTimeout(() => process.exit(0), 3_000)`)
  const [first, ...others] = surface.current.services
  if (!first) throw new Error('there is a service')
  const stopped = { at: '2026-01-02T03:04:05.678Z', by: 'op@host' }
  surface.current = { ...surface.current, services: [{ ...first, healthy: false, stopped }, ...others] }
  expect(await detached()).toMatchObject({
    code: 0,
    text: expect.stringContaining('every service is healthy, but for what an operator stopped: web'),
  })
})

/** Of the first service, what its redundancy is. */
function redundancyIs(given: Partial<RedundancyState>): void {
  const [first, ...others] = surface.current.services
  if (!first) throw new Error('there is a service')
  const redundancyState = { ...first.redundancyState, ...given }
  surface.current = { ...surface.current, services: [{ ...first, name: 'db', redundancyState }, ...others] }
}

it('says what is not redundant yet in the words of status, and only then', async () => {
  background(`process.send?.('looks after it'); setTimeout(() => process.exit(0), 3_000)`)
  expect((await detached()).text).not.toContain('yet')
  const missing = [{ what: 'replica', node: 'c', why: 'copying from b: 12 of 31 MB' } as const]
  redundancyIs({ state: 'degraded', summary: '2 of 3 replicas, one more loss stops writes', missing })
  expect((await detached()).text).toContain(
    'Not everything is there yet: degraded: db (2 of 3 replicas, one more loss stops writes; c: copying from b: 12 of 31 MB).',
  )
})

it('does not call healthy what status calls unhealthy', async () => {
  background(
    `process.send?.('looks after it'); setInterval(() => require('fs').existsSync(__filename) || process.exit(0), 200)`,
  )
  redundancyIs({ state: 'unhealthy', summary: '0 of 3 replicas', oneMoreLoss: null })
  const io = fakeIo({ cwd: folder })
  const done = detached(io, 30_000)
  await expect.poll(() => io.complained.join('\n'), { timeout: 20_000 }).toContain('shop: waiting for db')
  redundancyIs({ state: 'redundant', summary: '3 of 3 replicas' })
  expect((await done).text).toContain('every service is healthy')
}, 60_000)
