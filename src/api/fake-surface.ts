/**
 * An agent made of plain fields, for tests of everything that stands on the road in: the server, the SDK, the commands.
 * It remembers what it was asked to do, and does nothing.
 */
import { PROTOCOL } from '../core/protocol.ts'
import { UnderstudyError } from '../errors.ts'
import type { Stop } from '../lib/stop.ts'
import type {
  Accepted,
  EventRecord,
  Explanation,
  Receipt,
  RedundancyState,
  ResizeRequest,
  ServiceStatus,
  Status,
  SwitchoverRequest,
} from './api-types.ts'
import { FakeConfigs } from './fake-configs.ts'
import { FakeSecrets } from './fake-secrets.ts'
import type { Gauges, Surface } from './surface.ts'

const AT = '2026-01-02T03:04:05.678Z'

export class FakeSurface implements Surface {
  ready = true
  readonly asked: string[] = []
  readonly kept: EventRecord[] = []
  readonly #listeners = new Set<(event: EventRecord) => void>()
  readonly #node: string
  /** What every call that changes something rejects with, when set. */
  refuseWith: Error | undefined
  current: Status
  changes: Receipt[] = [fakeReceipt()]
  readonly configs = new FakeConfigs((what, of) => this.#accept(what, of))
  readonly secrets = new FakeSecrets((what, of) => this.#accept(what, of))

  constructor(node = 'a') {
    this.#node = node
    this.current = fakeStatus(node)
  }

  get listeners(): number {
    return this.#listeners.size
  }

  /** Something happened: kept, and told to all listeners. */
  happen(id: string, fields: Partial<EventRecord> = {}): EventRecord {
    const event = fakeEvent(id, fields)
    this.kept.push(event)
    for (const listener of [...this.#listeners]) listener(event)
    return event
  }

  status(): Status {
    return this.current
  }

  async why(service: string): Promise<Explanation> {
    this.#mustKnow(service)
    return {
      service,
      now: `${service} runs on a, b and c`,
      problems: [{ rule: 'instance-down', evidence: 'first-hand', why: 'the process ended with code 1', node: 'b' }],
      candidates: [
        { node: 'a', able: true, why: 'alive and healthy' },
        { node: 'b', able: false, why: 'nothing runs there' },
      ],
      recent: [fakeEvent('b-7', { service })],
    }
  }

  events(): readonly EventRecord[] {
    return this.kept
  }

  onEvent(listener: (event: EventRecord) => void): Stop {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  receipts(): readonly Receipt[] {
    return this.changes
  }

  gauges(): Gauges {
    const counters = { requests: 9, connections: 4, retried: 1, failed: 0, held: 2, open: 3, streams: 1, full: 0 }
    return {
      loopLagMs: 2,
      turns: 100,
      stepsDone: 7,
      stepsFailed: 1,
      storeAgeMs: 40,
      rssBytes: 50_000_000,
      balancer: [{ service: 'web', purpose: 'serving', ...counters }],
    }
  }

  async resize({ service, instances }: ResizeRequest): Promise<Accepted> {
    return this.#accept('resize', `${service} to ${instances}`)
  }

  async switchover(request: SwitchoverRequest): Promise<Accepted> {
    this.#mustKnow(request.service)
    return this.#accept('switchover', `${request.service} to ${request.to ?? 'the best'}`)
  }

  async drain(node: string, drained: boolean): Promise<Accepted> {
    if (!this.current.nodes.some(({ name }) => name === node)) {
      throw new UnderstudyError('UND_UNKNOWN_NODE', `there is no node “${node}”`)
    }
    return this.#accept(drained ? 'drain' : 'undrain', node)
  }

  async stopCluster(): Promise<Accepted> {
    return this.#accept('stop', 'the cluster')
  }

  #accept(what: string, of: string): Accepted {
    if (this.refuseWith) throw this.refuseWith
    this.asked.push(`${what} ${of}`)
    return { id: `${this.#node}-${this.asked.length}`, what: `${what} ${of}` }
  }

  #mustKnow(service: string): void {
    if (this.current.services.some(({ name }) => name === service)) return
    throw new UnderstudyError('UND_UNKNOWN_SERVICE', `there is no service “${service}”`)
  }
}

export function fakeEvent(id: string, fields: Partial<EventRecord> = {}): EventRecord {
  const node = id.slice(0, id.lastIndexOf('-'))
  return {
    id,
    at: AT,
    node,
    service: 'web',
    rule: 'instance-down',
    kind: 'noticed',
    why: 'it ended with code 1',
    ...fields,
  }
}

export function fakeReceipt(fields: Partial<Receipt> = {}): Receipt {
  return {
    id: 'a-3',
    service: 'mailer',
    kind: 'failover',
    rule: 'primary-lost',
    why: 'the primary on a ended with signal SIGKILL',
    from: 'a',
    to: 'b',
    term: 2,
    noticedAt: AT,
    marks: [
      { name: 'noticed', atMs: 0 },
      { name: 'leading', atMs: 41 },
      { name: 'healthy', atMs: 212.4 },
    ],
    backAfterMs: 212.4,
    candidates: [{ node: 'c', able: true, why: 'as far as b, which was placed before it' }],
    sessions: { held: 3, moved: 2, cut: { 'in-transaction': 1 }, longestHoldMs: 180, unheard: [] },
    ...fields,
  }
}

/** Three nodes; `web` on all of them, `mailer` led from a. */
export function fakeStatus(answeredBy = 'a'): Status {
  const names = ['a', 'b', 'c']
  const zones = ['north', 'south', 'west']
  return {
    cluster: 'shop',
    answeredBy,
    at: AT,
    store: { kind: 'embedded', writable: true, why: '' },
    nodes: names.map((name, index) => ({
      name,
      address: `127.0.0.${11 + index}`,
      zone: zones[index] ?? 'default',
      region: 'default',
      alive: true,
      state: 'alive',
      drained: false,
      agentPid: 100 + index,
      balancerPid: 200 + index,
      fencePid: 300 + index,
      protocol: PROTOCOL,
    })),
    services: [fakeWeb(names), fakeMailer(names)],
  }
}

function fakeWeb(nodes: readonly string[]): ServiceStatus {
  return {
    name: 'web',
    kind: 'http',
    redundancy: 'active-active',
    term: 0,
    primary: null,
    healthy: true,
    why: 'three of three instances serve',
    readOnly: null,
    wanted: 2,
    quorum: null,
    rule: '',
    redundancyState: fakeRedundancy({ summary: '2 of 2 instances' }),
    instances: nodes.map((node, index) => ({
      node,
      role: 'active',
      state: 'running',
      healthy: true,
      note: '',
      pid: 400 + index,
      port: 40_001 + index,
      failures: 0,
      retryInMs: 0,
    })),
    endpoints: nodes.map((node, index) => ({
      node,
      purpose: 'serving',
      protocol: 'http',
      host: `127.0.0.${11 + index}`,
      port: 8080,
      open: true,
    })),
  }
}

function fakeMailer(nodes: readonly string[]): ServiceStatus {
  const idle = { healthy: false, note: '', pid: null, port: null, failures: 0, retryInMs: 0 }
  return {
    name: 'mailer',
    kind: 'command',
    redundancy: 'active-passive',
    term: 3,
    primary: 'a',
    healthy: true,
    why: 'led from a since term 3',
    readOnly: null,
    wanted: 2,
    quorum: null,
    rule: 'no-primary',
    redundancyState: fakeRedundancy({ summary: '2 of 2 instances' }),
    instances: nodes
      .slice(0, 2)
      .map((node, index) =>
        index === 0
          ? { ...idle, node, role: 'primary', state: 'running', healthy: true, pid: 500 }
          : { ...idle, node, role: 'standby', state: 'stopped' },
      ),
    endpoints: [],
  }
}

export function fakeRedundancy(fields: Partial<RedundancyState> = {}): RedundancyState {
  return { state: 'redundant', wanted: 2, there: 2, oneMoreLoss: 'nothing', missing: [], summary: '', ...fields }
}
