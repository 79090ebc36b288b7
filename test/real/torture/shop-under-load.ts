/**
 * The shop of examples/shop on three nodes, with customers at the endpoints of all of them: GETs, POSTs and commits at a
 * steady rate. What they were told is kept, and judged by the shop's own checks.
 */
import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { isUp } from '../../../src/api/closed-endpoints.ts'
import type { ServiceStatus, Status } from '../../../src/client/index.ts'
import { command, http, postgres } from '../../../src/config/define.ts'
import { systemClock as clock, sleep } from '../../../src/lib/clock.ts'
import { failed, type Load, type Shot, startLoad } from '../../../src/lib/steady-load.ts'
import { serviceOf, startCluster, type TestCluster } from '../cluster.ts'
import { type CommitLoad, idsOf, startCommits } from './commit-load.ts'

const SHOP = join(import.meta.dirname, '../../../examples/shop')
const ACCOUNT = { user: 'shop', password: 'a cup of tea', database: 'shop' }
const DATABASE_PORT = 5432
const WEB_PORT = 8080

export interface Rates {
  readonly gets: number
  readonly posts: number
  readonly commits: number
}

/** As examples/shop/understudy.config.ts, with a pause between two instances as short as the caller wants it. */
export function startShop(pause: `${number}ms`): Promise<TestCluster> {
  const update = { pause }
  return startCluster((data) => ({
    db: postgres({
      instances: 3,
      listen: DATABASE_PORT,
      listenStandby: 5433,
      database: { name: 'shop', owner: ACCOUNT.user, password: ACCOUNT.password },
      settings: { shared_buffers: '32MB', max_connections: 60 },
      update,
    }),
    web: http({
      run: 'node web.mjs',
      cwd: SHOP,
      instances: 2,
      listen: WEB_PORT,
      healthy: '/healthz',
      needs: ['db'],
      update,
    }),
    worker: command({
      run: 'node worker.mjs',
      cwd: SHOP,
      redundancy: 'active-passive',
      instances: 3,
      env: { SHOP_DATA: data },
      needs: ['db'],
      update,
    }),
  }))
}

export function isWhole(status: Status): boolean {
  const standing = status.nodes.every(({ alive, fencePid, balancerPid }) => alive && fencePid && balancerPid)
  return standing && status.services.every((service) => isComplete(service) && isUp(status, service))
}

/** Healthy with all its instances, and none of them is being replaced. */
export function isComplete({ healthy, rollout, instances, redundancyState }: ServiceStatus): boolean {
  const all = instances.every((instance) => instance.healthy || instance.state === 'stopped')
  return healthy && rollout === undefined && all && redundancyState.state === 'redundant'
}

/** The processes of a service that run now. */
export function pidsOf(status: Status, service: string): number[] {
  return serviceOf(status, service).instances.flatMap(({ pid, state }) => (pid && state !== 'stopped' ? [pid] : []))
}

/** What customers of all nodes saw. */
export class Customers {
  readonly #cluster: TestCluster
  readonly #gets: Load
  readonly #posts: readonly Load[]
  readonly commits: CommitLoad

  private constructor(cluster: TestCluster, gets: Load, posts: readonly Load[], commits: CommitLoad) {
    this.#cluster = cluster
    this.#gets = gets
    this.#posts = posts
    this.commits = commits
  }

  static async come(cluster: TestCluster, rates: Rates): Promise<Customers> {
    const nodes = cluster.spec.nodes.map(({ name }) => name)
    const hosts = cluster.spec.nodes.map(({ address }) => address)
    const commits = await startCommits({ hosts, port: DATABASE_PORT, account: ACCOUNT, perSecond: rates.commits })
    const at = (path: string) => nodes.map((node) => `${cluster.balancer(node, WEB_PORT)}${path}`)
    const gets = startLoad({ urls: [...at('/'), ...at('/'), ...at('/orders')], method: 'GET', perSecond: rates.gets })
    // One half may be repeated by a balancer, and the other half may not: for those a replaced instance must not be late.
    const half = { urls: at('/orders'), method: 'POST', perSecond: rates.posts / 2 }
    const posts = [startLoad({ ...half, headers: () => ({ 'idempotency-key': randomUUID() }) }), startLoad(half)]
    return new Customers(cluster, gets, posts, commits)
  }

  /** The waits of all kinds that were due between two moments of `performance.now()`, in milliseconds. */
  waitsBetween(from: number, until: number): Record<keyof Rates, number[]> {
    const shots = (load: Load) =>
      load.shots.map(({ atMs, tookMs }) => ({ dueAt: load.beganMs + atMs, tookMs })).filter(isWithin)
    const isWithin = ({ dueAt }: { dueAt: number }) => dueAt >= from && dueAt <= until
    const took = (all: readonly { tookMs: number }[]) => all.map(({ tookMs }) => tookMs)
    return {
      gets: took(shots(this.#gets)),
      posts: took(this.#posts.flatMap(shots)),
      commits: took(this.commits.acknowledged.filter(isWithin)),
    }
  }

  /** They send nothing more. Resolves to what was not answered as it should be, a sentence each. */
  async leave(): Promise<string[]> {
    const loads = [this.#gets, ...this.#posts]
    const shots = (await Promise.all([...loads.map((load) => load.stop()), this.commits.stop()])).slice(0, -1)
    const told = (load: Load, { method, index, atMs, tookMs, status, error, body }: Shot) => {
      const at = new Date(performance.timeOrigin + load.beganMs + atMs + tookMs).toISOString()
      return `${at} ${method} ${index} failed after ${Math.round(tookMs)} ms: ${status ?? ''} ${error ?? ''} ${body}`
    }
    const requests = loads.flatMap((load, at) => (shots[at] as Shot[]).filter(failed).map((shot) => told(load, shot)))
    return [...requests, ...this.commits.failures]
  }

  /** Orders and commits that were acknowledged and that a replica does not have, a sentence each. */
  async whatIsMissing(): Promise<string[]> {
    const host = this.#cluster.spec.nodes[0]?.address ?? ''
    const orders = this.#posts.flatMap(({ shots }) => shots.filter((shot) => !failed(shot)).map(({ body }) => body))
    const file = join(this.#cluster.data, 'acknowledged')
    writeFileSync(file, `${orders.map((body) => (JSON.parse(body) as { id: string }).id).join('\n')}\n`)
    const checked = await shopCheck('check-orders.mjs', file, { HOST: host })
    const missing = checked.code === 0 ? [] : [checked.says]
    for (const { node, port } of replicasOf(await this.#cluster.status())) {
      const address = this.#cluster.spec.nodes.find(({ name }) => name === node)?.address
      const client = new pg.Client({ ...ACCOUNT, host: address ?? '', port })
      await client.connect()
      const ids = await caughtUp(client, this.commits.acknowledged)
      await client.end()
      const lost = this.commits.acknowledged.filter(({ id }) => !ids.has(id))
      if (lost.length > 0) missing.push(`${lost.length} acknowledged commits are not on ${node}: ${lost[0]?.id}, …`)
    }
    return missing
  }
}

/** The worker's log, judged by the shop's own check. */
export function checkWorkers(cluster: TestCluster): Promise<{ readonly code: number; readonly says: string }> {
  return shopCheck('check-worker-log.mjs', cluster.data, {})
}

/** Between the last sign of one run of the worker and the first one of the next, in milliseconds, longest last. */
export function gapsOfWorkers(cluster: TestCluster): number[] {
  const lines = readFileSync(join(cluster.data, 'worker.log'), 'utf8').split('\n').slice(0, -1)
  const signs = lines.map((line) => line.split(' '))
  const gaps = signs.flatMap(([monoMs, pid], index) => {
    const [before, pidBefore] = signs[index - 1] ?? []
    return before !== undefined && pid !== pidBefore ? [Number(monoMs) - Number(before)] : []
  })
  return gaps.sort((a, b) => a - b)
}

function replicasOf(status: Status): { readonly node: string; readonly port: number }[] {
  return serviceOf(status, 'db').instances.flatMap(({ node, port }) => (port ? [{ node, port }] : []))
}

/** A standby applies what it has received a moment later. */
async function caughtUp(client: pg.Client, acknowledged: readonly { readonly id: number }[]): Promise<Set<number>> {
  const deadline = clock.mono() + 10_000
  for (;;) {
    const ids = await idsOf(client)
    if (acknowledged.every(({ id }) => ids.has(id)) || clock.mono() > deadline) return ids
    await sleep(clock, 50)
  }
}

function shopCheck(program: string, argument: string, env: Record<string, string>) {
  const options = { env: { ...process.env, ...env } }
  return new Promise<{ readonly code: number; readonly says: string }>((resolve) => {
    execFile(process.execPath, [join(SHOP, program), argument], options, (error, says, complaints) => {
      resolve({ code: error ? Number(error.code) : 0, says: `${says}${complaints}`.trim() })
    })
  })
}
