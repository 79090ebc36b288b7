/**
 * What operators and broken programs do wrong, through the built program: each must give an error that a tired operator can
 * act on, with its exit code, and nothing that runs may be harmed by it.
 *
 * Exercises: api, balancer, cli, client, drivers/process, local, stores. Engines: none.
 */
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Status } from '../../src/client/index.ts'
import { whatIsLeft } from '../../src/local/stop-cluster.ts'
import { allHealthy, instancesIn, Operator, say, serviceIn } from './operator.ts'

const WEB = `import { createServer } from 'node:http'
  createServer((request, response) => {
    if (request.url === '/sick') response.statusCode = 503
    request.resume()
    request.on('end', () => response.end('ok'))
  }).listen(process.env.PORT, process.env.HOST)`
const WORKER = 'setInterval(() => {}, 1000)'

function newOperator(): Operator {
  const operator = new Operator()
  operator.write('web.mjs', WEB)
  operator.write('worker.mjs', WORKER)
  return operator
}

describe('before anything is started', () => {
  let operator: Operator
  let servers: Server[]

  beforeEach(() => {
    operator = newOperator()
    servers = []
  })
  afterEach(async () => {
    for (const server of servers) server.close()
    await operator.close()
  })

  function listen(node: string, port: number): Promise<void> {
    const server = createServer()
    servers.push(server)
    return new Promise((resolve) => server.listen(port, operator.address(node), resolve))
  }

  it('an option that does not exist is named, with the one that was meant', async () => {
    operator.config(`web: http({ run: 'node web.mjs', listen: 8080, helthy: '/' })`)
    const { code, err } = await operator.run('up')
    expect(code).toBe(2)
    expect(err).toMatch(/services\.web\.helthy .*did you mean "healthy"/)
    expect(err).toContain('Nothing was started')
    expect(await operator.run('up', '--bogus')).toMatchObject({
      code: 2,
      err: expect.stringContaining("unknown option '--bogus'"),
    })
    expect(await operator.run('stats')).toMatchObject({ code: 2, err: expect.stringContaining('Did you mean status?') })
  })

  it('an endpoint or an API port that is taken is named with its node, all at once, and nothing is started', async () => {
    operator.config(`web: http({ run: 'node web.mjs', listen: 8080 })`)
    await listen('b', 8080)
    await listen('c', 7400)
    const { code, err } = await operator.run('up')
    expect(code).toBe(5)
    expect(err).toContain(`${operator.address('b')}:8080 (the endpoint of web on node b) is taken by another program`)
    expect(err).toContain(`${operator.address('c')}:7400 (the API of node c) is taken by another program`)
    expect(err).toContain('nothing was started')
    expect(err).toContain('UND_PORT_TAKEN')
    expect(whatIsLeft(operator.state)).toEqual([])
  })

  it.skipIf(process.getuid?.() !== 0)('a state folder that cannot be written is named, with what to do', async () => {
    // Root may write everywhere, so a folder that cannot be made: below a file.
    operator.config(`web: http({ run: 'node web.mjs', listen: 8080 })`)
    operator.write('file', '')
    const { code, err } = await operator.run('up', '--state', join(operator.folder, 'file', 'state'))
    expect(code).toBe(5)
    expect(err).toMatch(/the state folder .*file\/state cannot be written .*--state DIR.*UND_STATE_NOT_WRITABLE/)
    const detached = await operator.run('up', '--detach', '--state', join(operator.folder, 'file', 'state'))
    expect(detached).toMatchObject({ code: 5, err: expect.stringContaining('UND_STATE_NOT_WRITABLE') })
  })

  it('no cluster, no config: says so, and what to type', async () => {
    expect(await operator.run('status')).toMatchObject({ code: 7, err: expect.stringContaining('understudy up') })
    expect(await operator.run('up')).toMatchObject({ code: 2, err: expect.stringContaining('UND_CONFIG_NOT_FOUND') })
    expect(await operator.run('down')).toMatchObject({ code: 0, out: expect.stringContaining('Nothing ran') })
  })
})

describe('services that cannot work', () => {
  let operator: Operator
  let taken: Server

  beforeAll(async () => {
    operator = newOperator()
    taken = createServer()
    await new Promise<void>((resolve) => taken.listen(9_000, operator.address('a'), resolve))
    operator.config(`
      web: http({ run: 'node web.mjs', instances: 3, listen: 8080 }),
      absent: command({ run: 'no-such-program --fast', instances: 1, nodes: ['b'] }),
      quits: command({ run: 'echo "bad password" >&2; exit 3', instances: 1, nodes: ['c'] }),
      dwindles: http({ run: 'sleep 2; exit 4', instances: 1, nodes: ['b'], listen: 8083 }),
      leads: command({ run: 'exit 7', redundancy: 'active-passive', instances: 2 }),
      sick: http({ run: 'node web.mjs', instances: 1, nodes: ['b'], listen: 8081, healthy: '/sick', startWithin: '1s' }),
      blocked: http({ run: 'node web.mjs', instances: 1, nodes: ['a'], listen: 8082, port: 9000 }),
      waits: command({ run: 'node worker.mjs', instances: 1, needs: ['sick'] }),`)
    operator.start('up', '--plain')
  })
  afterAll(async () => {
    taken.close()
    await operator.close()
  })

  /** By now it has failed so often that it rests; and what is printed while it does. */
  async function restingStatus(name: string): Promise<{ status: Status; printed: string }> {
    const isResting = (status: Status) =>
      serviceIn(status, name).rule === 'instance-crashing' &&
      instancesIn(status, name).some((one) => one.failures >= 3 && one.retryInMs > 0)
    const status = await operator.until(`${name} rests`, isResting)
    let printed = ''
    const print = async () => {
      printed = (await operator.run('status')).out
      return printed
    }
    // The pause may be over before the next question: each later one is longer.
    await expect.poll(print, { timeout: 30_000 }).toMatch(new RegExp(`${name} on .* times in a row, restarts back off`))
    return { status, printed }
  }

  it('a command that does not exist: named, with the shell’s code, and the pause before the next try', async () => {
    const { status, printed } = await restingStatus('absent')
    const { healthy, why, instances } = serviceIn(status, 'absent')
    expect(healthy).toBe(false)
    expect(why).toMatch(
      /^absent on b is down: command not found: no-such-program \(.*\); \d+ times in a row, restarts back off$/,
    )
    expect(instances[0]).toMatchObject({
      node: 'b',
      state: 'stopped',
      note: expect.stringContaining('no-such-program'),
    })
    expect(printed).toMatch(/failed \d+ times in a row; again in/)
    // Also in the moment in which it is tried again.
    const { problems, now } = await operator.why('absent')
    expect(now).toContain('command not found: no-such-program')
    expect(problems).toContainEqual(
      expect.objectContaining({ rule: expect.stringMatching(/^instance-(crashing|unproven)$/), node: 'b' }),
    )
  })

  it('a command that ends at once for ever: back-off, and where to read what it printed', async () => {
    const { status, printed } = await restingStatus('quits')
    expect(serviceIn(status, 'quits').why).toMatch(/quits on c is down: ended with code 3 after .* times in a row/)
    expect(printed).toContain('understudy why quits')
    const why = await operator.run('why', 'quits')
    expect(why.out).toMatch(/instance-(crashing|unproven) +c +quits on c .*ended with code 3/)
    expect(why.out).toContain('understudy logs quits')
    expect(why.out).not.toContain('no longer so')
    expect((await operator.run('logs', 'quits', '-n', '1')).out).toContain('bad password')
  })

  it('one that lives for a while between two ends: also while it runs, it is told what it has behind it', async () => {
    const isTriedAgain = (status: Status) =>
      instancesIn(status, 'dwindles').some((one) => one.failures >= 3 && one.state === 'running')
    const status = await operator.until('dwindles is tried again', isTriedAgain)
    expect(serviceIn(status, 'dwindles').why).toMatch(
      /dwindles on b ended \d+ times in a row and is being tried again; before that: ended with code 4/,
    )
    const told = (await operator.why('dwindles')).recent.filter(({ kind }) => kind === 'noticed')
    expect(told.filter(({ rule }) => rule === 'instance-crashing').length).toBeGreaterThanOrEqual(2)
    expect(told.map(({ rule }) => rule)).not.toContain('instance-unproven')
  })

  it('a single writer that ends at once on every node: says that all back off, and when the next try is', async () => {
    // Between two tries every instance backs off; the question itself takes a moment, so it is asked until it falls between them.
    let said = await operator.why('leads')
    const ask = async () => {
      said = await operator.why('leads')
      return said.now
    }
    await expect.poll(ask, { timeout: 20_000 }).toMatch(/every node backs off, the next try is in /)
    const { now, candidates } = said
    expect(now).toMatch(/the primary of leads on . is down: ended with code 7 after/)
    expect(candidates.every(({ why }) => why.includes('backs off'))).toBe(true)
    expect(await operator.run('switchover', 'leads')).toMatchObject({ code: 3 })
  })

  it('unhealthy for ever: killed after startWithin, told with what the check said', async () => {
    await operator.until('it was killed twice', (status) =>
      instancesIn(status, 'sick').some(({ failures }) => failures >= 2),
    )
    const { now, recent } = await operator.why('sick')
    expect(now).toMatch(/GET http:\S+\/sick answered 503/)
    expect(recent.map(({ rule, why }) => `${rule}: ${why}`)).toContainEqual(
      expect.stringMatching(/instance-unhealthy: sick on b did not become healthy within 1.0 s: .*\/sick answered 503/),
    )
    const status = await operator.json<Status>('status')
    expect(serviceIn(status, 'waits')).toMatchObject({ healthy: false, why: 'waits waits for sick' })
  })

  it('an instance port that is taken: says which, and by what option it was chosen', async () => {
    await operator.until('it was tried', (status) => instancesIn(status, 'blocked').length > 0)
    const { now } = await operator.why('blocked')
    expect(now).toContain(`another program listens on ${operator.address('a')}:9000`)
  })

  it('the one that is well goes on, whatever the others do', async () => {
    const status = await operator.json<Status>('status')
    expect(serviceIn(status, 'web')).toMatchObject({ healthy: true, why: '3 of 3 instances serve: a, b, c' })
    const { said } = await say(operator.address('b'), 8080, 'GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')
    expect(said).toMatch(/^HTTP\/1.1 200 /)
  })
})

describe('a cluster that runs', () => {
  let operator: Operator
  let before: Status

  beforeAll(async () => {
    operator = newOperator()
    operator.config(`
      web: http({ run: 'node web.mjs', instances: 3, listen: 8080 }),
      worker: command({ run: 'node worker.mjs', redundancy: 'active-passive', standby: 'warm', instances: 2 }),`)
    expect(await operator.run('up', '--detach')).toMatchObject({ code: 0 })
    before = await operator.until(
      'all is well',
      (status) => allHealthy(status) && instancesIn(status, 'worker').length === 2,
    )
  })
  afterAll(() => operator.close())

  /** Whatever was refused: no process died of it and nothing moved. */
  afterEach(async () => {
    const after = await operator.until('all is well', allHealthy)
    expect(pids(after)).toEqual(pids(before))
    expect(serviceIn(after, 'worker')).toMatchObject({ term: serviceIn(before, 'worker').term })
  })

  it('a second up on the same state is refused, attached or detached', async () => {
    for (const args of [
      ['up', '--plain'],
      ['up', '--detach'],
    ]) {
      const { code, err } = await operator.run(...args)
      expect([code, err]).toEqual([
        6,
        expect.stringMatching(/already kept running by process \d+.*UND_ALREADY_RUNNING/),
      ])
    }
  })

  it('unknown services and nodes are named, with what there is', async () => {
    const { run } = { run: (...args: string[]) => operator.run(...args) }
    for (const args of [
      ['why', 'wbe'],
      ['logs', 'wbe'],
      ['switchover', 'wbe'],
    ]) {
      expect(await run(...args)).toMatchObject({
        code: 2,
        err: expect.stringMatching(/there is no service “wbe”; did you mean “web”\? \(there are: web, worker\)/),
      })
    }
    for (const args of [
      ['switchover', 'worker', '--to', 'd'],
      ['drain', 'd'],
      ['undrain', 'd'],
      ['logs', 'web', '--node', 'd'],
    ]) {
      expect(await run(...args)).toMatchObject({
        code: 2,
        err: expect.stringMatching(/there is no node “d” \(there are: a, b, c\)/),
      })
    }
  })

  it('a switchover to where it leads already, or of what has no lead, is refused', async () => {
    const { primary } = serviceIn(before, 'worker')
    expect(await operator.run('switchover', 'worker', '--to', primary ?? '')).toMatchObject({
      code: 3,
      err: expect.stringContaining(`${primary} is primary already`),
    })
    expect(await operator.run('switchover', 'web')).toMatchObject({
      code: 3,
      err: expect.stringMatching(/web is active-active: every instance serves/),
    })
  })

  it('the API says 401 without a token, with a wrong one, and on the agents’ own road', async () => {
    const api = `http://${operator.address('a')}:7400`
    for (const path of ['/v1/status', '/v1/events', '/v1/receipts', '/v1/openapi.json', '/metrics', '/']) {
      for (const headers of [{}, { authorization: 'Bearer wrong' }] as Record<string, string>[]) {
        const answer = await fetch(`${api}${path}`, { headers })
        expect([path, answer.status]).toEqual([path, 401])
        expect(await answer.json()).toMatchObject({ error: { code: 'UND_UNAUTHORIZED' } })
      }
    }
    const upgrade = 'GET /v1/mesh HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n'
    expect((await say(operator.address('a'), 7400, upgrade)).said).toMatch(/^HTTP\/1.1 401 /)
    const post = await fetch(`${api}/v1/stop`, { method: 'POST' })
    expect(post.status).toBe(401)
  })

  const SMUGGLED = 'GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n'
  const SHAPES: Record<string, string> = {
    'no HTTP at all': 'SSH-2.0-OpenSSH_9.6\r\n\r\n',
    'two lengths': `POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n12345${SMUGGLED}`,
    'a length and chunks': `POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
    'chunked, but hidden': `POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
    'chunked and something': `POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n${SMUGGLED}`,
    'a length that is none': `POST / HTTP/1.1\r\nhost: x\r\ncontent-length: +5\r\n\r\n12345${SMUGGLED}`,
    'a chunk size that is none': `POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0x5\r\n12345\r\n0\r\n\r\n`,
    'a folded header': 'GET / HTTP/1.1\r\nhost: x\r\nx-a: b\r\n c\r\n\r\n',
    'two hosts': 'GET / HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n',
    'no host': 'GET / HTTP/1.1\r\n\r\n',
    'a bare line feed in a name': `GET / HTTP/1.1\r\nhost: x\r\nx\n: y\r\n\r\n`,
  }
  for (const [name, bytes] of Object.entries(SHAPES)) {
    it(`through a door, ${name}: 400 and closed`, async () => {
      const { said, closed } = await say(operator.address('a'), 8080, bytes)
      expect(said).toMatch(/^HTTP\/1.1 400 /)
      expect(said.match(/^HTTP\/1\.1 \d/gm), 'one answer, and none to what was hidden').toHaveLength(1)
      expect(closed).toBe(true)
    })
  }
})

function pids({ nodes, services }: Status): (number | null)[] {
  const instances = services.flatMap((service) => service.instances.map(({ pid }) => pid))
  return [...nodes.flatMap(({ agentPid, balancerPid, fencePid }) => [agentPid, balancerPid, fencePid]), ...instances]
}
