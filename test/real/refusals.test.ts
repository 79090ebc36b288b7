/**
 * A command that is refused changes nothing. A picture of the whole state folder (each path with its type, rights, owner and
 * content) is taken before and after every refusal of every command and every call of the API, and compared.
 *
 * Exercises: api, cli, local, agent, drivers/postgres, drivers/process, stores. Engines: postgresql.
 */
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import type { Status } from '../../src/client/index.ts'
import { changesBetween, takePicture } from '../support/folder-picture.ts'
import { anyPostgres } from './engines.ts'
import { allHealthy, Operator, serviceIn } from './operator.ts'

/** While a cluster runs these change by themselves. What is below a data folder is the server's. */
const BUSY = [
  /\/(store\.db.*|.*\.log(\.\d+)?|.*\.ndjson(\.\d+)?|.*\.new|(fence|balancer)-saved\.json)$/,
  /\/instances\/db\/(data|run|discarded)\/./,
]
const isBusy = (path: string) => BUSY.some((pattern) => pattern.test(path))

const SERVICES = `
  web: http({ run: 'node web.mjs', listen: 8080 }),
  job: command({ run: 'node job.mjs', instances: 1 }),
  db: postgres({ ...${JSON.stringify(anyPostgres)}, instances: 3, listen: 5432, settings: { shared_buffers: '16MB' } })`

function newOperator(): Operator {
  const operator = new Operator()
  chmodSync(operator.folder, 0o755) // a server that refuses to run as root has to get in
  operator.write(
    'web.mjs',
    "import { createServer } from 'node:http'\ncreateServer((_, r) => r.end('ok')).listen(process.env.PORT, process.env.HOST)",
  )
  operator.write('job.mjs', 'setInterval(() => {}, 1000)')
  operator.write('understudy.config.ts', config(operator, SERVICES))
  return operator
}

function config(operator: Operator, services: string): string {
  const nodes = ['a', 'b', 'c'].map((name) => `${name}: { address: '${operator.address(name)}' }`).join(', ')
  return `import { command, defineCluster, http, postgres } from 'understudy'
    export default defineCluster({ name: 'try', nodes: { ${nodes} }, services: { ${services} } })`
}

/** Commands that are refused wherever no cluster runs. */
const NEEDS_A_CLUSTER = [
  ['status'],
  ['why', 'db'],
  ['events'],
  ['receipts'],
  ['logs', 'db'],
  ['psql', 'db'],
  ['switchover', 'db'],
  ['resize', 'db', '2'],
  ['drain', 'a'],
  ['undrain', 'a'],
  ['apply', '--yes'],
  ['apply', '--abort'],
  ['config', 'show'],
  ['config', 'history'],
  ['config', 'rollback', '1', '--yes'],
  ['restart', 'db'],
  ['stop', 'db'],
  ['start', 'db'],
  ['backup', 'db', '--to', 'nowhere'],
  ['agent', '--node', 'a', '--state', '.understudy'],
]

async function refuses(operator: Operator, args: readonly string[], isExact: boolean): Promise<void> {
  const options = isExact ? { withTimes: true } : { isBusy }
  const before = takePicture(operator.folder, options)
  const { code, out, err } = await operator.run(...args)
  expect(code, `${args.join(' ')}: ${out}${err}`).not.toBe(0)
  const changes = changesBetween(before, takePicture(operator.folder, options), isExact ? () => false : isBusy)
  expect(changes, args.join(' ')).toEqual([])
}

describe('where nothing was ever started', () => {
  let operator: Operator
  beforeEach(() => {
    operator = newOperator()
  })
  afterEach(() => operator.close())

  it('no command leaves anything', async () => {
    for (const args of NEEDS_A_CLUSTER) await refuses(operator, args, true)
    operator.write('wrong.config.ts', config(operator, "web: http({ helthy: '/' })"))
    for (const args of [
      ['up', 'wrong.config.ts'],
      ['up', 'wrong.config.ts', '--detach'],
      ['up', 'absent.config.ts'],
      ['up', '--bogus'],
      ['check', 'wrong.config.ts'],
      ['restore', 'db', '--from', 'absent'],
      ['restore', 'web', '--from', 'absent'],
      ['backup', 'verify', 'absent'],
      ['whatif', 'wrong.config.ts'],
      ['sim', 'wrong.config.ts'],
    ])
      await refuses(operator, args, true)
    const down = await operator.run('down')
    expect(down).toMatchObject({ code: 0, out: expect.stringContaining('Nothing ran') })
    expect(existsSync(operator.state.path)).toBe(false)
  })

  it('a start that this machine cannot hold leaves no folder, and an existing one as it is', async () => {
    const server = createServer()
    onTestFinished(() => void server.close())
    await new Promise<void>((resolve) => server.listen(8080, operator.address('b'), resolve))
    for (const args of [['up'], ['up', '--detach']]) await refuses(operator, args, true)
    expect(existsSync(operator.state.path)).toBe(false)
    mkdirSync(operator.state.path, { mode: 0o750 })
    chmodSync(operator.state.path, 0o755)
    for (const args of [['up'], ['up', '--detach']]) await refuses(operator, args, true)
  })

  it('a state folder with a file that cannot be used is refused and left as it is', async () => {
    mkdirSync(join(operator.state.path, 'nodes/a'), { recursive: true })
    for (const [name, text] of [
      ['token', 'half\n'],
      ['nodes/a/agent.json', '{"pid":'],
      ['up.json', '{'],
    ] as const) {
      const path = join(operator.state.path, name)
      writeFileSync(path, text)
      for (const args of [['up'], ['up', '--detach']]) await refuses(operator, args, true)
      const { err } = await operator.run('up')
      expect(err).toContain(`${path} cannot be used`)
      writeFileSync(path, name === 'token' ? `${'t'.repeat(43)}\n` : '{"pid":999999,"startTime":1}')
    }
  })
})

describe('while a cluster runs', () => {
  let operator: Operator
  beforeAll(async () => {
    operator = newOperator()
    const up = await operator.run('up', '--detach', '--timeout', '5m')
    expect(up, up.err).toMatchObject({ code: 0 })
    await operator.until('all is well', allHealthy, 120_000)
  }, 300_000)
  afterAll(() => operator.close())

  const mode = () => statSync(operator.state.path).mode & 0o777

  it('no command that is refused changes anything, down to the mode of a folder', async () => {
    const before = mode()
    operator.write('other.config.ts', config(operator, "web: http({ run: 'node web.mjs', listen: 8081 })"))
    operator.write('wrong.config.ts', config(operator, "web: http({ helthy: '/' })"))
    // Two of the three nodes that hold the database, and another cluster.
    const alone = config(operator, SERVICES.replace('instances: 3', 'instances: 1')).replace(/, b: .*?\}, c: .*?\}/, '')
    operator.write('alone.config.ts', alone)
    operator.write('renamed.config.ts', config(operator, SERVICES).replace(/name: '\w+'/, "name: 'other'"))
    const primary = serviceIn(await operator.json<Status>('status'), 'db').instances.find(
      ({ role }) => role === 'primary',
    )
    mkdirSync(join(operator.folder, 'full'))
    operator.write('full/file', 'x')
    for (const args of [
      ['up'],
      ['up', '--detach'],
      ['up', 'other.config.ts'],
      ['up', 'other.config.ts', '--detach'],
      ['up', '--bogus'],
      ['restore', 'db', '--from', 'full'],
      ['backup', 'db', '--to', 'full'],
      ['backup', 'web', '--to', 'new'],
      ['backup', 'nope', '--to', 'new'],
      ['backup', 'db'],
      ['backup', 'verify', 'full'],
      ['switchover', 'nope'],
      ['switchover', 'web'],
      ['switchover', 'db', '--to', 'nope'],
      ['switchover', 'db', '--to', primary?.node ?? ''],
      ['apply', 'other.config.ts'],
      ['apply', 'wrong.config.ts', '--yes'],
      ['apply', 'alone.config.ts', '--yes'],
      ['apply', 'renamed.config.ts', '--yes'],
      ['apply', 'absent.config.ts', '--plan'],
      ['apply', '--abort'],
      ['config', 'show', '99'],
      ['config', 'diff', '1', '99'],
      ['config', 'rollback', '99', '--yes'],
      ['config', 'rollback', 'one'],
      ['restart', 'nope'],
      ['stop', 'nope'],
      ['start', 'nope'],
      ['resize', 'nope', '2'],
      ['resize', 'db', '9'],
      ['resize', 'db', 'two'],
      ['resize', 'db', '2', '--degrade', 'maybe'],
      ['drain', 'nope'],
      ['undrain', 'nope'],
      ['why', 'nope'],
      ['logs', 'nope'],
      ['events', '-n', 'x'],
      ['psql', 'nope'],
      ['psql', 'web'],
      ['agent', '--node', 'a', '--state', operator.state.path],
      ['agent', '--node', 'nope', '--state', operator.state.path],
      ['down', '--timeout', 'soon'],
      ['stats'],
    ])
      await refuses(operator, args, false)
    expect(mode()).toBe(before)
    expect(readFileSync(operator.state.upLog, 'utf8')).not.toMatch(/already kept running|UND_/)
  }, 300_000)

  it('no call of the API that is refused changes anything', async () => {
    const token = operator.state.readToken() ?? ''
    const base = `http://${operator.address('a')}:${operator.state.readCluster()?.spec.apiPort}`
    const call = (method: string, path: string, body?: string, bearer = token) =>
      fetch(`${base}${path}`, { method, headers: { authorization: `Bearer ${bearer}` }, ...(body && { body }) })
    const before = takePicture(operator.state.path, { isBusy })
    const ofServices = ['restart', 'stop', 'start'].map((verb) => `services/job/${verb}`)
    const small = ['switchover', 'resize', 'nodes/a/drain', 'nodes/a/undrain', 'stop', ...ofServices]
    const ofConfigs = ['config/rollback', 'config/abort']
    const posts = [...small, ...ofConfigs, 'config/apply']
    for (const [status, method, path, body, bearer] of [
      ...posts.map((path) => [401, 'POST', path, undefined, 'wrong'] as const),
      ...posts.map((path) => [400, 'POST', path, '{'] as const),
      ...posts.map((path) => [400, 'POST', path, '[]'] as const),
      ...posts.map((path) => [400, 'POST', path, '{"fromTheFuture":1}'] as const),
      ...small.map((path) => [405, 'GET', path] as const),
      ...[...small, ...ofConfigs].map((path) => [413, 'POST', path, ' '.repeat(100_000)] as const),
      [400, 'POST', 'switchover', '{"to":"b"}'],
      [400, 'POST', 'resize', '{"service":"db","instances":"two"}'],
      [404, 'POST', 'switchover', '{"service":"nope"}'],
      [404, 'POST', 'resize', '{"service":"nope","instances":2}'],
      [404, 'POST', 'nodes/nope/drain'],
      ...['restart', 'stop', 'start'].map((verb) => [404, 'POST', `services/nope/${verb}`] as const),
      [413, 'POST', 'config/apply', ' '.repeat(4_500_000)],
      [400, 'POST', 'config/apply', '{"expect":1,"version":"0.1.0","spec":{"name":"x"}}'],
      [404, 'POST', 'config/rollback', '{"to":99}'],
      [409, 'POST', 'config/rollback', '{"to":1,"expect":99}'],
      [409, 'POST', 'config/abort', '{}'],
      [404, 'GET', 'config/99'],
      [400, 'GET', 'config/one'],
      [404, 'GET', 'why/nope'],
      [404, 'GET', 'nope'],
    ] as const) {
      const answer = await call(method, `/v1/${path}`, body, bearer)
      expect(answer.status, `${method} ${path} ${body}: ${await answer.text()}`).toBe(status)
      expect(changesBetween(before, takePicture(operator.state.path, { isBusy }), isBusy), `${path} ${body}`).toEqual(
        [],
      )
    }
  })

  it('a state folder that others have closed is opened again, and the database fails over', async () => {
    chmodSync(operator.state.path, 0o700)
    const db = serviceIn(await operator.json<Status>('status'), 'db')
    for (const { pid } of db.instances) if (pid) process.kill(pid, 'SIGKILL')
    await operator.until(
      'it is back on all nodes',
      (status) => {
        const { healthy, instances } = serviceIn(status, 'db')
        const isNew = ({ pid }: { pid: number | null }) => !db.instances.some((before) => before.pid === pid)
        return healthy && instances.length === 3 && instances.every((one) => one.healthy && isNew(one))
      },
      120_000,
    )
    expect(mode()).toBe(process.getuid?.() === 0 ? 0o710 : 0o700)
  }, 180_000)

  it('once it is stopped, a refused start and a refused restore leave everything as it was', async () => {
    expect((await operator.run('down')).code).toBe(0)
    const server = createServer()
    onTestFinished(() => void server.close())
    await new Promise<void>((resolve) => server.listen(8080, operator.address('b'), resolve))
    for (const args of [
      ['up'],
      ['up', '--detach'],
      ['up', '--bogus'],
      ['status'],
      ['why', 'db'],
      ['switchover', 'db'],
      ['resize', 'db', '2'],
      ['drain', 'a'],
      ['backup', 'db', '--to', 'new'],
      ['restore', 'db', '--from', 'full'],
      ['agent', '--node', 'nope', '--state', operator.state.path],
    ])
      await refuses(operator, args, true)
  }, 180_000)
})
