/** `apply`, `config`, `restart`, `stop` and `start` from their words to their exit code, against an agent that is a fake. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type ApiServer, serveApi } from '../api/api-server.ts'
import type { Status } from '../api/api-types.ts'
import { fakeConfig } from '../api/fake-configs.ts'
import { FakeSurface } from '../api/fake-surface.ts'
import { compileCluster } from '../config/compile.ts'
import { unwritten } from '../core/config-record.ts'
import { UnderstudyError } from '../errors.ts'
import { StateFolder } from '../local/cluster-folder.ts'
import { type FakeIo, fakeIo } from './fake-io.ts'
import { run } from './program.ts'

/** A machine under load takes its time. */
const PATIENCE = { timeout: 15_000, interval: 20 }

let folder: string
let surface: FakeSurface
let api: ApiServer
let port: number

const config = (given: object = {}, services: object = {}) => ({
  name: 'shop',
  api: { port },
  nodes: { a: { address: '127.0.0.1' }, b: { address: '127.0.0.2' }, c: { address: '127.0.0.3' } },
  services: {
    web: { kind: 'http', options: { run: 'node web.js', listen: 8080, instances: 2, ...given } },
    mailer: { kind: 'command', options: { run: 'node mail.js', redundancy: 'active-passive', instances: 2 } },
    ...services,
  },
})

const file = () => join(folder, 'understudy.config.json')
const write = (content: unknown) => writeFileSync(file(), JSON.stringify(content))
const compiled = (content: object) =>
  JSON.parse(JSON.stringify(compileCluster(content, { file: file(), isLocal: () => true }).spec))

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'understudy-apply-'))
  const state = new StateFolder(join(folder, '.understudy'))
  state.create()
  surface = new FakeSurface()
  api = await serveApi({ surface, host: '127.0.0.1', port: 0, token: state.keepToken() })
  port = api.port
  const spec = compiled(config())
  surface.configs.kept = [
    fakeConfig(1, { spec, source: { name: 'understudy.config.json', text: '{\n  "one": 1\n}\n' } }),
  ]
  state.writeCluster({ config: unwritten(spec, { run: 'r' }), run: 'r', version: '0.0.0' })
  status({ config: at(1) })
})

afterEach(async () => {
  await api.close()
  rmSync(folder, { recursive: true })
})

const at = (number: number) => ({
  number,
  hash: '',
  at: '2026-01-02T03:04:05.678Z',
  by: 'op@host',
  message: '',
  leaving: [],
  removed: [],
  refused: null,
})

function status(given: Partial<Status>): void {
  surface.current = { ...surface.current, ...given }
}

function service(name: string, given: object): void {
  status({ services: surface.current.services.map((one) => (one.name === name ? { ...one, ...given } : one)) })
}

function type(line: string, given: Partial<FakeIo> = {}) {
  const io = fakeIo({ cwd: folder, ...given })
  const words = line.split(' ').filter(Boolean)
  const done = run(words, io).then((code) => ({ code, text: io.text(), complaints: io.complained.join('\n') }))
  return Object.assign(done, { io })
}

const apply = `apply ${'CONFIG'}`
const typed = (line: string, given: Partial<FakeIo> = {}) => type(line.replace('CONFIG', file()), given)

describe('apply --plan', () => {
  it('ends with 0 when there is nothing to do, with 2 when there is, and changes nothing', async () => {
    write(config())
    expect(await typed(`${apply} --plan`)).toMatchObject({
      code: 0,
      text: expect.stringContaining('there is nothing to do'),
    })
    write(config({ env: { A: 'x' } }))
    const { code, text } = await typed(`${apply} --plan`)
    expect(code).toBe(2)
    expect(text).toMatch(
      /shop: config 1 → 2[\s\S]*web +rolling restart +restart .*environment \(A\)[\s\S]*Nothing changes for mailer/,
    )
    expect(surface.asked).toEqual([])
  })

  it('ends with 1 for what is wrong, so that it is not taken for something to do', async () => {
    write({ ...config(), nodes: {} })
    expect(await typed(`${apply} --plan`)).toMatchObject({ code: 1, complaints: expect.stringContaining('nodes') })
    write({ ...config(), name: 'other' })
    expect(await typed(`${apply} --plan`)).toMatchObject({
      code: 1,
      text: expect.stringContaining('the cluster is called shop'),
    })
  })

  it('says that it is refused, and why, while a node runs a version that would not act on it', async () => {
    const nodes = surface.current.nodes.map((node) => (node.name === 'c' ? { ...node, protocol: 0 } : node))
    status({ nodes })
    write(config({ env: { A: 'x' } }))
    const { code, text } = await typed(`${apply} --plan`)
    expect(code).toBe(1)
    expect(text.replace(/\s+/g, ' ')).toContain(
      'c runs an earlier version of Understudy, which would not act on this: finish the upgrade',
    )
    expect(surface.asked).toEqual([])
    write(config())
    expect(await typed(`${apply} --plan`), 'there is nothing to refuse').toMatchObject({ code: 0 })
  })

  it('waits for the version of a node that an agent which just started has not heard yet', async () => {
    const { nodes } = surface.current
    write(config({ env: { A: 'x' } }))
    status({ nodes: nodes.map((node) => (node.name === 'c' ? { ...node, state: 'unknown', protocol: null } : node)) })
    const planned = typed(`${apply} --plan`)
    setTimeout(() => status({ nodes }), 300)
    expect(await planned).toMatchObject({ code: 2, text: expect.not.stringContaining('try again') })
  })

  it('says what would be a new single point of failure', async () => {
    write(config({ instances: 1 }))
    expect((await typed(`${apply} --plan`)).text).toMatch(/What a failure would do\n +new outage: /)
  })

  it('is JSON when JSON is wanted', async () => {
    write(config({ env: { A: 'x' } }))
    const { text } = await typed(`${apply} --plan --json`)
    expect(JSON.parse(text)).toMatchObject({
      from: 1,
      isEmpty: false,
      refused: [],
      plan: { services: [{ service: 'web', change: 'restart' }, {}] },
    })
  })
})

describe('apply', () => {
  beforeEach(() => write(config({ env: { A: 'x' } })))

  it('asks, and does nothing unless the answer is yes', async () => {
    const asked: string[] = []
    const answers = (answer: string) => ({
      ask: async (question: string) => {
        asked.push(question)
        return answer
      },
    })
    expect(await typed(apply, answers(''))).toMatchObject({
      code: 1,
      text: expect.stringContaining('Nothing was changed'),
    })
    expect(surface.asked).toEqual([])
    expect(await typed(`${apply} --no-wait`, answers('y'))).toMatchObject({ code: 0 })
    expect([surface.asked.length, asked]).toEqual([1, ['Apply this? [y/N] ', 'Apply this? [y/N] ']])
  })

  it('without a terminal needs --yes', async () => {
    expect(await typed(apply)).toMatchObject({ code: 2, complaints: expect.stringContaining('add --yes') })
    expect(surface.asked).toEqual([])
  })

  it('sends the compiled config with its text, the message and who applied it', async () => {
    await typed(`${apply} --yes --no-wait --message because`)
    expect(surface.configs.newest).toMatchObject({
      number: 2,
      message: 'because',
      source: { name: 'understudy.config.json' },
    })
    expect(surface.configs.newest.by).toMatch(/.+@.+/)
    expect(surface.configs.newest.spec).toEqual(compiled(config({ env: { A: 'x' } })))
  })

  it('waits until every service that changes runs as the config says', async () => {
    const outcome = typed(`${apply} --yes --timeout 20s`)
    await expect.poll(() => surface.asked, PATIENCE).toHaveLength(1)
    service('web', { rollout: { state: 'rolling', updated: 1, of: 2, why: 'b is being replaced' } })
    status({ config: at(2) })
    surface.happen('b-1', { service: 'web', rule: 'instance-outdated', kind: 'done', why: 'web on b was replaced' })
    await expect.poll(() => outcome.io.text(), PATIENCE).toContain('web on b was replaced')
    service('web', { rollout: undefined })
    expect(await outcome).toMatchObject({ code: 0, text: expect.stringMatching(/shop runs with config 2\.$/) })
  })

  it('ends with 1 when the roll-out stopped, and says how to go back', async () => {
    const outcome = typed(`${apply} --yes`)
    await expect.poll(() => surface.asked, PATIENCE).toHaveLength(1)
    service('web', {
      rollout: { state: 'stopped', updated: 0, of: 2, why: 'the new instance of web on a failed: exit 1' },
    })
    status({ config: at(2) })
    const { code, text, complaints } = await outcome
    expect([code, complaints]).toEqual([
      1,
      expect.stringContaining('the roll-out of web stopped after 0 of 2: the new instance'),
    ])
    expect(text).toContain('“understudy apply --abort” goes back to config 1')
  })

  it('ends with 1 when another config came in between', async () => {
    const outcome = typed(`${apply} --yes`)
    await expect.poll(() => surface.asked, PATIENCE).toHaveLength(1)
    status({ config: { ...at(3), message: 'back to config 1' } })
    expect(await outcome).toMatchObject({
      code: 1,
      complaints: expect.stringContaining('config 3 has replaced config 2 (back to config 1)'),
    })
  })

  it('goes on after Ctrl-C, and says how to look and how to go back', async () => {
    const outcome = typed(`${apply} --yes`)
    await expect.poll(() => surface.asked, PATIENCE).toHaveLength(1)
    let isOver = false
    const ended = outcome.finally(() => {
      isOver = true
    })
    // The agent was asked a moment before the command listens for Ctrl-C: an operator presses it again.
    await expect.poll(() => [outcome.io.interrupt(), isOver].at(1), PATIENCE).toBe(true)
    const { code, text } = await ended
    expect([code, surface.asked.length]).toEqual([130, 1])
    expect(text).toMatch(/The change goes on[\s\S]*understudy status[\s\S]*apply --abort/)
  })

  it.each([
    ['UND_CONFLICT', 'config 2 was applied by op@host since config 1 was read'],
    ['UND_TOO_OLD', 'Understudy 0.1.0 is older than the nodes'],
    ['UND_REFUSED', 'a holds the only replica of db'],
  ] as const)('passes on %s', async (code, message) => {
    surface.refuseWith = new UnderstudyError(code, message)
    expect(await typed(`${apply} --yes`)).toMatchObject({ code: 3, complaints: `understudy: ${message} (${code})` })
  })

  it('of a config that does not compile says what is wrong with it, and asks no agent', async () => {
    write({ ...config(), services: { web: { kind: 'http', options: { run: 'x', lisen: 8080 } } } })
    expect(await typed(`${apply} --yes`)).toMatchObject({ code: 2, complaints: expect.stringContaining('lisen') })
    expect(surface.asked).toEqual([])
  })

  it('--abort goes back to the config before', async () => {
    expect(await type('apply --abort')).toMatchObject({ code: 0, text: expect.stringContaining('Accepted: abort 1') })
  })
})

describe('config', () => {
  beforeEach(() => {
    const [first] = surface.configs.kept
    if (!first) return
    const source = { name: 'understudy.config.json', text: '{\n  "one": 2\n}\n' }
    const spec = compiled(config({ env: { A: 'x' } }))
    surface.configs.kept.push(
      { ...first, number: 2, source, spec, message: 'more' },
      { ...first, number: 3, source: null, spec },
    )
    status({ config: at(3) })
  })

  it('show prints a config as it was written', async () => {
    expect((await type('config show 2')).text).toMatch(
      /^\/\/ config 2, applied .* by op@host .*: more\n\{\n {2}"one": 2\n\}$/,
    )
    expect((await type('config show')).text).toContain('"name": "shop"')
    expect(await type('config show 9')).toMatchObject({
      code: 2,
      complaints: expect.stringContaining('UND_UNKNOWN_CONFIG'),
    })
  })

  it('history lists them, newest first', async () => {
    expect((await type('config history')).text).toMatch(/3 \*[\s\S]*2 .*more[\s\S]*1 /)
  })

  it('diff compares the texts, or the compiled forms where one has none', async () => {
    expect((await type('config diff 1 2')).text.split('\n')).toEqual([
      '--- config 1 (understudy.config.json)',
      '+++ config 2 (understudy.config.json)',
      '@@ -1,4 +1,4 @@',
      ' {',
      '-  "one": 1',
      '+  "one": 2',
      ' }',
      ' ',
    ])
    expect((await type('config diff 1 3')).text).toContain('--- config 1 (compiled)')
  })

  it('rollback prints the plan, asks the same way, and applies an earlier one', async () => {
    expect(await type('config rollback 1')).toMatchObject({ code: 2, complaints: expect.stringContaining('add --yes') })
    const { code, text } = await type('config rollback 1 --yes --no-wait')
    expect([code, surface.asked]).toEqual([0, ['rollback 1']])
    expect(text).toMatch(/shop: config 3 → 4[\s\S]*web +rolling restart/)
    expect(await type('config rollback 1 --plan')).toMatchObject({ code: 2 })
  })
})

describe('one service', () => {
  it('restart waits until every instance was replaced', async () => {
    const outcome = type('restart web')
    await expect.poll(() => surface.asked, PATIENCE).toEqual(['restart web'])
    service('web', { restarts: 1, rollout: { state: 'rolling', updated: 0, of: 2, why: 'a is outdated' } })
    await new Promise((resolve) => setTimeout(resolve, 300))
    service('web', { rollout: undefined })
    expect(await outcome).toMatchObject({
      code: 0,
      text: expect.stringContaining('every instance of web was replaced.'),
    })
  })

  it('restart ends with 1 when it stopped', async () => {
    service('web', { restarts: 1, rollout: { state: 'stopped', updated: 1, of: 2, why: 'it ended' } })
    const outcome = type('restart web')
    await expect.poll(() => surface.asked, PATIENCE).toHaveLength(1)
    service('web', { restarts: 2 })
    expect(await outcome).toMatchObject({
      code: 1,
      complaints: expect.stringContaining('the restart of web stopped after 1 of 2: it ended'),
    })
  })

  it('stop waits until nothing of it runs, start until it is healthy', async () => {
    const outcome = type('stop mailer')
    await expect.poll(() => surface.asked, PATIENCE).toEqual(['stop mailer'])
    service('mailer', { stopped: { at: '2026-01-02T03:04:05.678Z', by: 'op@host' }, instances: [] })
    expect(await outcome).toMatchObject({ code: 0, text: expect.stringContaining('mailer is stopped') })
    const started = type('start mailer')
    await expect.poll(() => surface.asked, PATIENCE).toHaveLength(2)
    service('mailer', { stopped: undefined })
    expect(await started).toMatchObject({ code: 0, text: expect.stringContaining('mailer runs.') })
  })

  it.each(['restart', 'stop', 'start'])('%s of a service that is not there names the near one', async (verb) => {
    expect(await type(`${verb} wbe`)).toMatchObject({
      code: 2,
      complaints: expect.stringContaining('did you mean “web”?'),
    })
    expect(surface.asked).toEqual([])
  })
})
