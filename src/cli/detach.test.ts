/** `up --detach`, with a made-up program in the background and a cluster from before that is well. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { type ApiServer, serveApi } from '../api/api-server.ts'
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

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'understudy-detach-'))
  state = new StateFolder(join(folder, '.understudy'))
  state.create()
  const surface = new FakeSurface()
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

async function detached() {
  const io = fakeIo({ cwd: folder })
  const code = await detach(io, { spec, file: 'x.ts', state, json: false, timeoutMs: 5_000 })
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
