/** A backup whose servers do not answer, against an agent that is a fake. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { type ApiServer, serveApi } from '../../api/api-server.ts'
import { FakeSurface } from '../../api/fake-surface.ts'
import { int32, message } from '../../balancer/postgres/messages.ts'
import { unwritten } from '../../core/config-record.ts'
import type { ClusterSpec } from '../../core/model.ts'
import { StateFolder } from '../../local/cluster-folder.ts'
import { fakeIo } from '../fake-io.ts'
import { run } from '../program.ts'

let folder: string
let surface: FakeSurface
let api: ApiServer
const closers: (() => void)[] = []

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'understudy-backup-'))
  const state = new StateFolder(join(folder, '.understudy'))
  state.create()
  surface = new FakeSurface()
  api = await serveApi({ surface, host: '127.0.0.1', port: 0, token: state.keepToken() })
  const nodes = surface.current.nodes.map((node) => ({ ...node, address: '127.0.0.1' }))
  surface.current = { ...surface.current, nodes }
  const services = [{ ...surface.current.services[0], name: 'db', kind: 'postgres', options: {} }]
  const spec = { name: 'shop', apiPort: api.port, nodes, services } as unknown as ClusterSpec
  state.writeCluster({ config: unwritten(spec, { run: 'r' }), run: 'r', version: '0.0.0' })
})

afterEach(async () => {
  for (const close of closers.splice(0)) close()
  await api.close()
  rmSync(folder, { recursive: true })
})

/** What the agents say of the servers: a is primary, b is a standby; by port, null for one that is not healthy. */
function serversAre(primary: number | null, standby: number | null): void {
  const [first] = surface.current.services
  const instances = [
    { ...first?.instances[0], node: 'a', role: 'primary', port: primary, healthy: primary !== null },
    { ...first?.instances[0], node: 'b', role: 'standby', port: standby, healthy: standby !== null },
  ]
  const services = [{ ...first, name: 'db', kind: 'postgres', instances }]
  surface.current = { ...surface.current, services } as unknown as typeof surface.current
}

/** Something on a port that does this with each connection. */
async function server(meet: (socket: Socket) => void): Promise<number> {
  const tcp = createServer((socket) => {
    socket.on('error', () => {}) // it is cut on purpose
    closers.push(() => socket.destroy())
    meet(socket)
  })
  await new Promise<void>((resolve) => tcp.listen(0, '127.0.0.1', resolve))
  closers.push(() => tcp.close())
  return (tcp.address() as AddressInfo).port
}

async function refusedPort(): Promise<number> {
  const tcp = createServer()
  await new Promise<void>((resolve) => tcp.listen(0, '127.0.0.1', resolve))
  const { port } = tcp.address() as AddressInfo
  await new Promise((resolve) => tcp.close(resolve))
  return port
}

const error = (code: string, text: string) =>
  message('E', Buffer.from(`SFATAL\0VFATAL\0C${code}\0M${text}\0\0`, 'latin1'))
const accept = Buffer.concat([message('R', int32(0)), message('Z', 'I')])

async function backup(to = 'new') {
  const io = fakeIo({ cwd: folder })
  const code = await run(['backup', 'db', '--to', to], io)
  return { code, said: io.complained.join('\n') }
}

it.each<[string, () => Promise<number>, RegExp]>([
  ['refuses connections', refusedPort, /: connect ECONNREFUSED 127\.0\.0\.1:\d+ \(UND/],
  ['closes each connection', () => server((socket) => socket.end()), /: Connection terminated unexpectedly \(UND/],
  ['resets each connection', () => server((socket) => socket.resetAndDestroy()), /: .*(ECONNRESET|terminated).* \(UND/],
  [
    'starts up',
    () =>
      server((socket) => socket.once('data', () => socket.end(error('57P03', 'the database system is starting up')))),
    /: the database system is starting up \(UND/,
  ],
  ['answers no PostgreSQL', () => server((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')), /: .+ \(UND/],
  ['answers nothing', () => server(() => {}), /: .*(time|not answered).* \(UND/],
  [
    'dies after the login',
    () =>
      server((socket) =>
        socket.once('data', () => socket.write(accept, () => socket.once('data', () => socket.end()))),
      ),
    /: Connection terminated unexpectedly \(UND/,
  ],
])('of a server that %s is refused in one sentence, and leaves nothing', async (_, open, why) => {
  const port = await open()
  serversAre(port, null)
  const { code, said } = await backup()
  expect(said).toMatch(why)
  expect(said.split('\n'), said).toHaveLength(1)
  expect(said).toContain('understudy: the server on a cannot be copied from: ')
  expect(said).toMatch(/ \(UND_REFUSED\)$/)
  expect(code).toBe(3)
  expect(existsSync(join(folder, 'new')) || existsSync(join(folder, 'new.partial'))).toBe(false)
})

it('names the server that did not answer: the primary says how far the copy of a standby has to be', async () => {
  serversAre(await refusedPort(), await server(() => {}))
  expect((await backup()).said).toContain('the server on a cannot be copied from: connect ECONNREFUSED')
})

it('of a database without a healthy replica is refused', async () => {
  serversAre(null, null)
  expect(await backup()).toEqual({
    code: 3,
    said: 'understudy: no replica of db is healthy; run “understudy why db” (UND_REFUSED)',
  })
})

it('into a folder that cannot be made says so, and nothing of a server', async () => {
  serversAre(await refusedPort(), null)
  writeFileSync(join(folder, 'file'), '')
  const { code, said } = await backup('file/new')
  expect(said).toMatch(/^understudy: the backup cannot be written: ENOTDIR: .*file\/new.* \(UND_REFUSED\)$/)
  expect(code).toBe(3)
  expect((await backup('file')).said).toMatch(/^understudy: the backup cannot be written: ENOTDIR: .* \(UND_REFUSED\)$/)
})
