/**
 * One exchange, and what becomes of it when something dies at each of its moments: instance, client, table, time.
 * Client and instance are in memory, the clock is virtual, all else (Node's parser included) is the real code.
 */
import { afterEach, describe, expect, test } from 'vitest'
import { MemorySocket, openMemorySockets } from '../../../test/support/memory-socket.ts'
import type { Route, Target } from '../../core/routing-table.ts'
import { VirtualClock } from '../../lib/virtual-clock.ts'
import { HoldSpace } from '../hold.ts'
import { type BalancerShared, LiveRoute } from '../live-route.ts'
import { LoopWatch } from '../loop-watch.ts'
import { Cancels } from '../postgres/cancel-keys.ts'
import { type FrontServer, httpServer } from './http-listener.ts'
import { RetryBudget } from './retry.ts'

const TARGET: Target = { id: 'one', node: 'a', host: 'one', port: 1, state: 'serving', term: 0 }
const HEAD = 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n'
const ANSWER = `${HEAD}answer`
const MOMENTS = [
  'connecting',
  'half of the request',
  'the whole request',
  'half of a head',
  'half of a body',
  'idle',
] as const
type Moment = (typeof MOMENTS)[number]
const METHODS = ['POST', 'PUT'] as const
type Method = (typeof METHODS)[number]

/** What the instance got, connection by connection; probes are answered and left out. */
class Instance {
  readonly got: { text: string; readonly socket: MemorySocket }[] = []
  /** Connections are neither accepted nor refused. */
  isUnreachable = false
  isRefusing = false

  dial: BalancerShared['dial'] = (_host, _port, timeoutMs, done) => {
    let isOver = false
    if (this.isRefusing) setImmediate(() => !isOver && done('refused'))
    else if (this.isUnreachable) this.clock.after(timeoutMs, () => !isOver && done('timeout'))
    else setImmediate(() => !isOver && done(this.#accept().asSocket))
    return {
      cancel() {
        isOver = true
      },
    }
  }

  readonly clock: VirtualClock

  constructor(clock: VirtualClock) {
    this.clock = clock
  }

  get requests(): number {
    return this.got.filter(({ text }) => text !== '').length
  }

  #accept(): MemorySocket {
    const [near, far] = MemorySocket.pair()
    const seen = { text: '', socket: far }
    this.got.push(seen)
    far.on('error', () => {}) // what becomes of it is the point of the test
    far.on('end', () => far.end())
    far.on('data', (chunk: Buffer) => {
      const text = chunk.toString('latin1')
      if (text.startsWith('GET /healthz')) far.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
      else seen.text += text
    })
    return near
  }
}

class World {
  readonly clock = new VirtualClock(1_000)
  readonly instance = new Instance(this.clock)
  readonly client: MemorySocket
  readonly route: LiveRoute
  readonly #front: FrontServer
  answer = ''
  isClosed = false
  isReset = false

  constructor() {
    const { clock } = this
    const house: BalancerShared = {
      clock,
      random: () => 0.5,
      loop: new LoopWatch(clock.mono(), 50),
      holdSpace: new HoldSpace(),
      budget: new RetryBudget(),
      secretOf: () => null,
      cancels: new Cancels(),
      dial: this.instance.dial,
      onVerdict() {},
      onFull() {},
      onSessions() {},
      onStill() {},
    }
    this.route = new LiveRoute(house, this.#routeTo([TARGET]), 0)
    this.#front = httpServer(this.route)
    const [near, far] = MemorySocket.pair()
    this.client = far
    far.on('error', () => {
      this.isReset = true
    })
    far.on('close', () => {
      this.isClosed = true
    })
    far.on('end', () => {
      this.isClosed = true
      far.end()
    })
    far.on('data', (chunk: Buffer) => {
      this.answer += chunk.toString('latin1')
    })
    this.#front.server.emit('connection', near.asSocket)
    this.#tick()
  }

  /** Lets time pass, and everything happen that it sets off. */
  async pass(ms: number): Promise<void> {
    await this.clock.advance(ms)
    for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve))
  }

  table(targets: readonly Target[]): void {
    this.route.update(this.#routeTo(targets), 0)
  }

  get current(): MemorySocket {
    const last = this.instance.got.filter(({ text }) => text !== '').at(-1)
    if (!last) throw new Error('the instance has no request')
    return last.socket
  }

  /** Everything is given back: nothing is open, no target has any load. */
  async end(): Promise<void> {
    this.client.destroy()
    await this.pass(100)
    expect(this.route.counters.open).toBe(0)
    expect([...this.route.targets].map(({ load, streams }) => load + streams)).toEqual(
      [...this.route.targets].map(() => 0),
    )
    this.#front.cutAll()
    this.route.close()
    for (const { socket } of this.instance.got) socket.destroy()
    await this.pass(100)
    expect(openMemorySockets()).toBe(0)
  }

  #tick(): void {
    const now = this.clock.mono()
    this.route.tick(now)
    this.#front.tick?.(now)
    this.clock.after(50, () => this.#tick())
  }

  #routeTo(targets: readonly Target[]): Route {
    return {
      service: 'web',
      protocol: 'http',
      purpose: 'serving',
      host: '10.0.0.1',
      port: 80,
      holdMs: 2_000,
      limits: { bodyMs: 5_000, answerMs: 5_000, idleMs: 5_000 },
      probe: { path: '/healthz', everyMs: 1_000, timeoutMs: 500 },
      targets,
      peers: [],
      readOnly: null,
    }
  }
}

/** A request of two halves, brought to one moment of its life. */
async function bring(world: World, method: Method, moment: Moment): Promise<void> {
  world.instance.isUnreachable = moment === 'connecting'
  world.client.write(`${method} / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nfirst`)
  await world.pass(1)
  if (moment === 'connecting' || moment === 'half of the request') return
  world.client.write('after')
  await world.pass(1)
  expect(world.instance.got[0]?.text).toMatch(/firstafter$/)
  if (moment === 'half of a head') world.current.write(HEAD.slice(0, 20))
  if (moment === 'half of a body') world.current.write(`${HEAD}ans`)
  if (moment === 'idle') world.current.write(ANSWER)
  await world.pass(1)
}

/** From now on every request is answered at once, and the client sends what it still owes. */
async function goOn(world: World, moment: Moment): Promise<void> {
  world.instance.isUnreachable = false
  const dead = new Set(world.instance.got)
  if (moment === 'connecting' || moment === 'half of the request') {
    if (!world.client.destroyed && world.client.writable) world.client.write('after')
  }
  for (let turn = 0; turn < 80; turn++) {
    await world.pass(50)
    for (const one of world.instance.got) {
      if (dead.has(one) || !one.text.endsWith('firstafter')) continue
      dead.add(one)
      one.socket.write(ANSWER)
    }
  }
}

/** Everything that the client saw, in a word or two. */
function outcome(world: World): string {
  const status = /^HTTP\/1\.1 (\d+)/.exec(world.answer)?.[1]
  if (status === undefined) return world.isReset ? 'reset' : 'nothing'
  const fate = /"fate":"([^"]+)"/.exec(world.answer)?.[1]
  if (fate !== undefined) return `${status} ${fate}`
  if (world.answer.endsWith('answer')) return status
  return world.isReset ? 'cut' : 'half an answer'
}

type Expected = Readonly<Record<Moment, string | Readonly<Record<Method, string>>>>

interface Misfortune {
  readonly happens: (world: World, moment: Moment) => void | Promise<void>
  /** Nothing goes on after it: no client sends more, no instance answers. */
  readonly isFinal?: true
  readonly expected: Expected
}

const AGAIN = { POST: '502 unknown', PUT: '200' } as const

const MISFORTUNES: Readonly<Record<string, Misfortune>> = {
  'nothing happens': {
    happens(world, moment) {
      if (moment === 'half of the request') world.client.write('after')
    },
    isFinal: true,
    // The instance never answers, or never goes on: the limits of the endpoint.
    expected: {
      connecting: '503 not-done',
      'half of the request': '504 unknown',
      'the whole request': '504 unknown',
      'half of a head': '504 unknown',
      'half of a body': 'cut',
      idle: '200',
    },
  },
  'the client stops sending': {
    happens() {},
    isFinal: true,
    expected: {
      connecting: '503 not-done',
      'half of the request': '408 unknown',
      'the whole request': '504 unknown',
      'half of a head': '504 unknown',
      'half of a body': 'cut',
      idle: '200',
    },
  },
  'the instance resets its connections': {
    happens(world) {
      for (const { socket } of world.instance.got) socket.resetAndDestroy()
    },
    expected: {
      connecting: '200',
      'half of the request': AGAIN,
      'the whole request': AGAIN,
      'half of a head': AGAIN,
      'half of a body': 'cut',
      idle: '200',
    },
  },
  'the instance closes its connections': {
    happens(world) {
      for (const { socket } of world.instance.got) socket.destroy()
    },
    expected: {
      connecting: '200',
      'half of the request': AGAIN,
      'the whole request': AGAIN,
      'half of a head': AGAIN,
      'half of a body': 'cut',
      idle: '200',
    },
  },
  'the instance dies and refuses': {
    happens(world) {
      world.instance.isRefusing = true
      for (const { socket } of world.instance.got) socket.resetAndDestroy()
    },
    expected: {
      connecting: '503 not-done',
      'half of the request': { POST: '502 unknown', PUT: '503 unknown' },
      'the whole request': { POST: '502 unknown', PUT: '503 unknown' },
      'half of a head': { POST: '502 unknown', PUT: '503 unknown' },
      'half of a body': 'cut',
      idle: '200',
    },
  },
  'the instance answers what is no HTTP': {
    happens(world, moment) {
      if (moment !== 'connecting' && moment !== 'half of a body' && moment !== 'idle') world.current.write('\n\n')
    },
    expected: {
      connecting: '200',
      'half of the request': AGAIN,
      'the whole request': AGAIN,
      'half of a head': AGAIN,
      'half of a body': 'half an answer',
      idle: '200',
    },
  },
  'the table says that the instance is dead': {
    happens: (world) => world.table([{ ...TARGET, state: 'dead' }]),
    expected: {
      connecting: '503 not-done',
      'half of the request': { POST: '502 unknown', PUT: '503 unknown' },
      'the whole request': { POST: '502 unknown', PUT: '503 unknown' },
      'half of a head': { POST: '502 unknown', PUT: '503 unknown' },
      'half of a body': 'cut',
      idle: '200',
    },
  },
  'the table names another instance': {
    happens: (world) => world.table([{ ...TARGET, id: 'two' }]),
    expected: {
      connecting: '200',
      'half of the request': AGAIN,
      'the whole request': AGAIN,
      'half of a head': AGAIN,
      'half of a body': 'cut',
      idle: '200',
    },
  },
  'the client resets its connection': {
    happens: (world) => void world.client.resetAndDestroy(),
    isFinal: true,
    expected: {
      connecting: 'nothing',
      'half of the request': 'nothing',
      'the whole request': 'nothing',
      'half of a head': 'nothing',
      'half of a body': 'half an answer',
      idle: '200',
    },
  },
}

let world: World | undefined

afterEach(async () => {
  await world?.end()
  world = undefined
})

describe.each(Object.entries(MISFORTUNES))('%s', (_name, { happens, isFinal, expected }) => {
  test.each(METHODS.flatMap((method) => MOMENTS.map((moment) => [method, moment] as const)))(
    '%s, at: %s',
    async (method, moment) => {
      world = new World()
      await bring(world, method, moment)
      await happens(world, moment)
      if (isFinal) await world.pass(8_000)
      else await goOn(world, moment)
      const wanted = expected[moment]
      expect(outcome(world)).toBe(typeof wanted === 'string' ? wanted : wanted[method])
      // What may not be repeated is not repeated, and what was said not to be done was not seen by any instance.
      if (method === 'POST') expect(world.instance.requests).toBeLessThanOrEqual(1)
      if (outcome(world).endsWith('not-done')) expect(world.instance.requests).toBe(0)
    },
  )
})
