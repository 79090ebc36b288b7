/**
 * A real cluster for a test: three nodes on loopback addresses of their own, agents, balancers, fences and services as
 * real processes, and everything gone again afterwards, also when the test fails.
 */
import { randomInt } from 'node:crypto'
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ServiceStatus, Status } from '../../src/api/api-types.ts'
import { compileCluster } from '../../src/config/compile.ts'
import { defineCluster } from '../../src/config/define.ts'
import type { ClusterSpec } from '../../src/core/model.ts'
import { systemClock as clock, sleep } from '../../src/lib/clock.ts'
import { until } from '../../src/lib/until.ts'
import { type LocalCluster, startLocal } from '../../src/local/start-cluster.ts'

export const PROGRAMS = join(import.meta.dirname, 'programs')

export interface TestCluster {
  readonly local: LocalCluster
  readonly spec: ClusterSpec
  /** Where services may write. */
  readonly data: string
  readonly stateDir: string
  /** `http://address:port` of the door of a node. */
  balancer(node: string, port?: number): string
  status(): Promise<Status>
  service(name: string): Promise<ServiceStatus>
  /** Waits until the status is as wanted; rejects with the last status after `withinMs`. */
  until(what: string, holds: (status: Status) => boolean, withinMs?: number): Promise<Status>
  stop(): Promise<void>
}

/** What is there before anything runs. */
export interface Prepared {
  readonly raw: unknown
  readonly spec: ClusterSpec
  readonly folder: string
  readonly stateDir: string
}

export interface ClusterOptions {
  readonly timing?: object
  /** Of the nodes. */
  readonly names?: readonly string[]
  /** Called before anything is started. */
  readonly prepare?: (place: Prepared) => Promise<void>
}

type Services = Parameters<typeof defineCluster>[0]['services']

/** `services` gets the folder that services may write to. */
export async function startCluster(
  services: (data: string) => Services,
  { prepare, names = ['a', 'b', 'c'], ...options }: ClusterOptions = {},
): Promise<TestCluster> {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-test-'))
  chmodSync(folder, 0o755) // servers that refuse to run as root have to get in
  const data = join(folder, 'data')
  mkdirSync(data) // a test may be faster than the service that would make it
  const prefix = `127.${randomInt(100, 250)}.${randomInt(1, 250)}`
  const nodes = Object.fromEntries(
    names.map((name, index) => [name, { address: `${prefix}.${11 + index}`, zone: name }]),
  )
  const raw = defineCluster({ name: 'test', nodes, services: services(data), ...options } as Parameters<
    typeof defineCluster
  >[0])
  const { spec } = compileCluster(raw)
  const stateDir = join(folder, 'state')
  await prepare?.({ raw, spec, folder, stateDir })
  const local = await startLocal({ spec, stateDir, version: 'test' })
  return new Running(local, spec, folder, data, stateDir)
}

class Running implements TestCluster {
  readonly local: LocalCluster
  readonly spec: ClusterSpec
  readonly data: string
  readonly stateDir: string
  readonly #folder: string

  constructor(local: LocalCluster, spec: ClusterSpec, folder: string, data: string, stateDir: string) {
    this.local = local
    this.spec = spec
    this.#folder = folder
    this.data = data
    this.stateDir = stateDir
  }

  balancer(node: string, port = 8080): string {
    return `http://${this.spec.nodes.find(({ name }) => name === node)?.address}:${port}`
  }

  status(): Promise<Status> {
    return this.local.client.status()
  }

  async service(name: string): Promise<ServiceStatus> {
    return serviceOf(await this.status(), name)
  }

  async until(what: string, holds: (status: Status) => boolean, withinMs = 15_000): Promise<Status> {
    const deadline = clock.mono() + withinMs
    let last: Status | undefined
    while (clock.mono() < deadline) {
      last = await this.status().catch(() => undefined) // no agent answers yet
      if (last && holds(last)) return last
      await sleep(clock, 20)
    }
    const events = await this.local.client.events({ last: 40 }).catch(() => [])
    const told = events.map(({ at, node, rule, kind, why }) => `${at} ${node} ${rule} ${kind} ${why}`).join('\n')
    throw new Error(`not within ${withinMs} ms: ${what}\n${JSON.stringify(last, null, 1)}\n${told}`)
  }

  async stop(): Promise<void> {
    await this.local.kill()
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 20 })
  }
}

export function serviceOf(status: Status, name: string): ServiceStatus {
  const service = status.services.find((one) => one.name === name)
  if (!service) throw new Error(`no service ${name}`)
  return service
}

export function wellInstances(status: Status, name: string): ServiceStatus['instances'] {
  return serviceOf(status, name).instances.filter(({ healthy }) => healthy)
}

export function primaryPid(status: Status, name: string): number {
  const pid = serviceOf(status, name).instances.find(({ role, healthy }) => role === 'primary' && healthy)?.pid
  if (!pid) throw new Error(`${name} has no healthy primary`)
  return pid
}

/** Of a primary that is well. On a busy machine a probe may be late for a moment, and then there is none. */
export async function untilPrimaryPid(cluster: TestCluster, name: string): Promise<number> {
  const isLed = (status: Status) => {
    return serviceOf(status, name).instances.some(({ role, healthy, pid }) => role === 'primary' && healthy && pid)
  }
  return primaryPid(await cluster.until('a primary that is well', isLed, 40_000), name)
}

/** Longer than one may be pending. */
const SWITCHOVER_WITHIN_MS = 45_000

export type SwitchoverOutcome = { readonly to: string } | { readonly calledOff: string }

/** Resolves when it is accepted; `outcome` says what became of it: it may rightly be called off, or not even be begun. */
export async function askSwitchover(
  cluster: TestCluster,
  name: string,
): Promise<{ readonly outcome: Promise<SwitchoverOutcome> }> {
  const { client } = cluster.local
  const { primary: from } = await cluster.service(name)
  const seen = new Set((await client.events()).map(({ id }) => id))
  const refusal = await client.switchover({ service: name }).then(
    () => undefined,
    (error: { code?: string; message: string }) => {
      if (error.code !== 'UND_REFUSED') throw error
      return error.message
    },
  )
  if (refusal !== undefined) return { outcome: Promise.resolve({ calledOff: refusal }) }
  const patience = { clock, everyMs: 20, withinMs: SWITCHOVER_WITHIN_MS, what: 'the end of a switchover' }
  const outcome = until(patience, async () => {
    const now = await cluster.service(name).catch(() => undefined) // an agent that is asked may be slow
    if (now?.healthy && now.primary !== null && now.primary !== from) return { to: now.primary }
    const events = await client.events().catch(() => [])
    const off = events.find((one) => one.rule === 'switchover-called-off' && one.service === name && !seen.has(one.id))
    return off && { calledOff: off.why }
  })
  outcome.catch(() => {}) // the caller looks at it later
  return { outcome }
}
