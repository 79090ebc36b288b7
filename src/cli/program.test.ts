/** Commands from their words to their exit code, against agents that are fakes behind a real API. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type ApiServer, serveApi } from '../api/api-server.ts'
import { FakeSurface, fakeReceipt } from '../api/fake-surface.ts'
import { unwritten } from '../core/config-record.ts'
import type { ClusterSpec } from '../core/model.ts'
import { UnderstudyError } from '../errors.ts'
import { StateFolder } from '../local/cluster-folder.ts'
import { fakeIo } from './fake-io.ts'
import { run } from './program.ts'

let folder: string
let state: StateFolder
let surface: FakeSurface
let api: ApiServer

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'understudy-cli-'))
  state = new StateFolder(join(folder, '.understudy'))
  state.create()
  surface = new FakeSurface()
  const token = state.keepToken()
  api = await serveApi({ surface, host: '127.0.0.1', port: 0, token })
  const { nodes, services } = surface.current
  const spec = {
    name: 'shop',
    apiPort: api.port,
    nodes: nodes.map((node) => ({ ...node, address: '127.0.0.1' })),
    services,
  } as unknown as ClusterSpec
  state.writeCluster({ config: unwritten(spec, { run: 'r' }), run: 'r', version: '0.0.0' })
})

afterEach(async () => {
  await api.close()
  rmSync(folder, { recursive: true })
})

async function type(line: string, cwd = folder) {
  const io = fakeIo({ cwd })
  const code = await run(line.split(' ').filter(Boolean), io)
  return { code, text: io.text(), complaints: io.complained.join('\n'), json: () => JSON.parse(io.text()) }
}

describe('status', () => {
  it('prints exactly the status as JSON', async () => {
    const { code, json } = await type('status --json')
    expect([code, json()]).toEqual([0, surface.current])
  })

  it('is found from a folder below, and by --state', async () => {
    const below = join(folder, 'src', 'deep')
    mkdirSync(below, { recursive: true })
    expect((await type('status', below)).text).toContain('all healthy')
    expect((await type(`status --state ${state.path}`, '/')).text).toContain('all healthy')
  })

  it('ends with 1 for unhealthy only when asked to', async () => {
    expect((await type('status --exit-code')).code).toBe(0)
    const [first, ...rest] = surface.current.services
    surface.current = { ...surface.current, services: [{ ...first, healthy: false } as never, ...rest] }
    expect((await type('status')).code).toBe(0)
    expect((await type('status --exit-code')).code).toBe(1)
  })
})

describe('looking', () => {
  it('explains a service', async () => {
    expect((await type('why web')).text).toContain('instance-down')
    expect((await type('why web --json')).json()).toMatchObject({ service: 'web' })
  })

  it('shows the newest events', async () => {
    expect((await type('events')).text).toBe('Nothing has happened yet.')
    for (let number = 1; number <= 60; number++) surface.happen(`a-${number}`)
    expect((await type('events')).text.split('\n')).toHaveLength(50)
    expect((await type('events -n 2 --json')).json()).toEqual(surface.kept.slice(-2))
  })

  it('shows receipts, of one service if asked', async () => {
    surface.changes = [fakeReceipt(), fakeReceipt({ id: 'x', service: 'web' })]
    expect((await type('receipts --service web --json')).json()).toEqual([surface.changes[1]])
    expect((await type('receipts --full')).text).toContain('212 ms  healthy')
  })

  it('shows logs with the node in front, or without when there is one only', async () => {
    for (const node of ['a', 'b']) {
      mkdirSync(join(state.node(node), 'logs'), { recursive: true })
      writeFileSync(join(state.node(node), 'logs', 'web.log'), `1 on ${node}\n2 on ${node}\n`)
    }
    expect((await type('logs web -n 1')).text).toBe('a | 2 on a\nb | 2 on b')
    expect((await type('logs web --node b')).text).toBe('1 on b\n2 on b')
    expect((await type('logs web -n 1 --node a --json')).json()).toEqual({ node: 'a', line: '2 on a' })
    expect(await type('logs mailer')).toMatchObject({ code: 7, complaints: expect.stringContaining('no log yet') })
  })
})

describe('switchover', () => {
  const planned = { kind: 'switchover', rule: 'switchover-requested' } as const
  const done = () => surface.changes.push(fakeReceipt({ id: 'new', ...planned, to: 'b' }))

  it('stays until there is a receipt, and tells what happens meanwhile', async () => {
    surface.happen('a-1', { service: 'mailer', why: 'long ago' })
    const typed = type('switchover mailer --to b')
    await expect.poll(() => surface.asked).toEqual(['switchover mailer to b'])
    surface.happen('a-2', { service: 'mailer', why: 'mailer on a was stopped' })
    surface.happen('a-3', { service: 'web', why: 'something else' })
    done()
    const { code, text } = await typed
    expect(code).toBe(0)
    expect(text).toContain('mailer on a was stopped')
    expect(text).toContain('switchover  a → b')
    expect(text).not.toMatch(/long ago|something else/)
  })

  it('takes no receipt of another switchover as its own', async () => {
    const typed = type('switchover mailer --to b')
    await expect.poll(() => surface.asked).toHaveLength(1)
    surface.changes.push(fakeReceipt({ id: 'other', ...planned, to: 'c' }))
    surface.changes.push(fakeReceipt({ id: 'drained', kind: 'switchover', rule: 'node-drained', to: 'b' }))
    surface.changes.push(fakeReceipt({ id: 'late', kind: 'failover', from: 'c', to: 'a' }))
    await new Promise((resolve) => setTimeout(resolve, 300)) // it looks every 100 ms
    done()
    expect((await typed).text).toContain('switchover  a → b')
  })

  it('says that a failover came before it', async () => {
    const typed = type('switchover mailer --to b')
    await expect.poll(() => surface.asked).toHaveLength(1)
    surface.changes.push(fakeReceipt({ id: 'crash', kind: 'failover', to: 'c' }))
    const { code, complaints } = await typed
    expect([code, complaints]).toEqual([3, expect.stringContaining('a failover of mailer from a to c came before')])
  })

  it('ends with 1 when it is called off', async () => {
    const typed = type('switchover mailer --to b')
    await expect.poll(() => surface.asked).toHaveLength(1)
    surface.happen('a-9', { service: 'mailer', rule: 'switchover-called-off', why: 'b is unhealthy' })
    expect(await typed).toMatchObject({ code: 1, text: expect.stringContaining('Called off: b is unhealthy') })
  })

  it('says that it was not done in time', async () => {
    const { code, complaints } = await type('switchover mailer --timeout 150ms')
    expect([code, complaints]).toEqual([9, expect.stringContaining('understudy why mailer')])
  })

  it('returns at once with --no-wait', async () => {
    expect(await type('switchover mailer --no-wait')).toMatchObject({
      code: 0,
      text: expect.stringContaining('Accepted'),
    })
  })

  it('passes on why it was refused', async () => {
    surface.refuseWith = new UnderstudyError('UND_REFUSED', 'b is unhealthy: GET /healthz: 503')
    expect(await type('switchover mailer --to b')).toMatchObject({
      code: 3,
      complaints: 'understudy: b is unhealthy: GET /healthz: 503 (UND_REFUSED)',
    })
  })
})

describe('resize', () => {
  it('is done when the primary of a service with cold standbys runs', async () => {
    const services = surface.current.services.map((one) => (one.name === 'mailer' ? { ...one, wanted: 2 } : one))
    surface.current = { ...surface.current, services }
    const kept = state.readCluster()
    const cold = { redundancy: 'active-passive', standby: 'cold', traits: { replicates: false } }
    const spec = kept && {
      ...kept.spec,
      services: kept.spec.services.map((one) => (one.name === 'mailer' ? { ...one, ...cold } : one)),
    }
    state.writeCluster({ ...kept, config: { ...kept?.config, spec } } as never)
    const running = services
      .find(({ name }) => name === 'mailer')
      ?.instances.filter(({ state: is }) => is !== 'stopped')
    expect(running).toHaveLength(1)
    const { code, text } = await type('resize mailer 2 --timeout 3s')
    expect([code, text]).toEqual([0, expect.stringContaining('mailer runs with 2 instances')])
  })
})

describe('whatif', () => {
  it('describes the cluster that runs: its primaries and numbers of instances, unless told otherwise', async () => {
    const config = {
      name: 'shop',
      nodes: { a: {}, b: {}, c: {} },
      services: { mailer: { kind: 'command', options: { run: 'x', redundancy: 'active-passive', instances: 2 } } },
    }
    writeFileSync(join(folder, 'shop.json'), JSON.stringify(config))
    const moved = (primary: string) =>
      surface.current.services.map((one) => (one.name === 'mailer' ? { ...one, primary, wanted: 2 } : one))
    for (const primary of ['a', 'b', 'c']) {
      surface.current = { ...surface.current, services: moved(primary) }
      const { text } = await type(`whatif ${folder}/shop.json`)
      expect(text).toContain('From the cluster that runs here')
      expect(text).toContain(`primary of mailer: ${primary}`)
    }
    expect((await type(`whatif ${folder}/shop.json --fresh`)).text).not.toContain('From the cluster that runs here')
  })
})

describe('a command that is not there', () => {
  it.each(['reload', 'reload web'])(
    '%s is answered with what there is, and with nothing that destroys',
    async (line) => {
      const { code, complaints } = await type(line)
      expect([code, complaints]).toEqual([2, expect.stringContaining('there is no such command')])
      expect(complaints).not.toMatch(/restore|Did you mean/)
    },
  )
})

describe('drain', () => {
  it('asks for it, and for its end', async () => {
    expect((await type('drain b')).code).toBe(0)
    expect((await type('undrain b --json')).json()).toMatchObject({ what: 'undrain b' })
    expect(surface.asked).toEqual(['drain b', 'undrain b'])
  })
})

describe('what cannot be', () => {
  it.each([
    ['why wbe', 2, 'there is no service “wbe”; did you mean “web”? (there are: web, mailer) (UND_UNKNOWN_SERVICE)'],
    ['logs zzz', 2, 'there is no service “zzz” (there are: web, mailer)'],
    ['switchover mailer --to z', 2, 'there is no node “z” (there are: a, b, c) (UND_UNKNOWN_NODE)'],
    ['drain z', 2, 'UND_UNKNOWN_NODE'],
    ['receipts --service zzz', 2, 'UND_UNKNOWN_SERVICE'],
    ['status --jsno', 2, '(Did you mean --json?)'],
    ['statsu', 2, '(Did you mean status?)'],
    ['why', 2, "missing required argument 'service'"],
    ['why web mailer', 2, 'too many arguments'],
    ['events -n many', 2, 'write a whole number'],
    ['switchover mailer --timeout soon', 2, 'write a duration such as'],
  ])('%s', async (line, code, says) => {
    expect(await type(line)).toMatchObject({ code, complaints: expect.stringContaining(says) })
    expect(surface.asked).toEqual([])
  })

  it('is told as JSON when JSON is wanted', async () => {
    const { code, json } = await type('why wbe --json')
    expect([code, json()]).toMatchObject([2, { error: { code: 'UND_UNKNOWN_SERVICE' } }])
  })

  it('says that nothing was started from here, or that no agent answers any more', async () => {
    const nowhere = mkdtempSync(join(tmpdir(), 'understudy-nowhere-'))
    expect(await type('status', nowhere)).toMatchObject({
      code: 7,
      complaints: expect.stringContaining('no cluster was started from'),
    })
    rmSync(nowhere, { recursive: true })
    await api.close()
    expect(await type('status')).toMatchObject({
      code: 7,
      complaints: expect.stringContaining('“understudy up” starts the cluster'),
    })
    expect(await type('events -f')).toMatchObject({ code: 7 })
  })

  it('says that the token is wrong', async () => {
    writeFileSync(state.tokenFile, `${'another'.repeat(6)}1\n`)
    expect(await type('status')).toMatchObject({ code: 8, complaints: expect.stringContaining('UND_UNAUTHORIZED') })
  })
})

describe('help', () => {
  it('lists the commands on one screen', async () => {
    for (const line of ['', '--help']) {
      const { code, text } = await type(line)
      expect([code, text.split('\n').length]).toEqual([0, expect.toSatisfy((lines: number) => lines <= 50)])
      expect(text).toContain('switchover SERVICE')
    }
  })

  it.each(
    'up down upgrade check apply config restart stop start status why events receipts logs switchover resize drain undrain psql backup restore agent'.split(
      ' ',
    ),
  )('shows an example of %s', async (command) => {
    const { code, text } = await type(`${command} --help`)
    expect([code, text]).toEqual([0, expect.stringMatching(new RegExp(`Example:\\n +understudy ${command}`))])
  })
})

describe('down', () => {
  it('says that nothing runs', async () => {
    expect(await type('down')).toMatchObject({ code: 0, text: `Nothing ran from ${state.path}.` })
    expect((await type('down --json')).json()).toMatchObject({ killed: [] })
  })
})
