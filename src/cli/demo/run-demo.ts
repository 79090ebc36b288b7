/**
 * `understudy demo`: three nodes on this machine keep the example shop open while its parts are killed, frozen and lost
 * one after the other, under a steady load. It shows what happens as it happens and ends with receipts. It fails, with
 * exit code 1, when a request that may be repeated failed through a living node's balancer, when an order that was
 * acknowledged is not in the database, or when two workers ever ran at once: by the log that the workers themselves
 * sign.
 */

import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { EventRecord, Status } from '../../api/api-types.ts'
import { compileCluster } from '../../config/compile.ts'
import { loadConfig } from '../../config/load-config.ts'
import { inBackground } from '../../lib/background.ts'
import { systemClock as clock, sleep } from '../../lib/clock.ts'
import { type LocalCluster, startLocal } from '../../local/start-cluster.ts'
import { FAULTS, type Fault, isCalm } from './demo-faults.ts'
import type { Outcome, Show } from './demo-lines.ts'
import { Traffic } from './demo-traffic.ts'
import { checkOrders, checkWorkers } from './orders.ts'

const READY_WITHIN_MS = 60_000
const OVER_WITHIN_MS = 20_000
/** Between two faults, so that each is seen on its own. */
const CALM_MS = 1_500
const LOOK_EVERY_MS = 40
/** The demo's own addresses: it does not meet a cluster that runs here already. */
const ADDRESSES = '127.0.77.'

export async function runDemo(options: {
  readonly example: string
  readonly show: Show
  readonly version: string
}): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-demo-'))
  const { show } = options
  let cluster: LocalCluster | undefined
  const interrupted = new AbortController()
  const onSignal = () => interrupted.abort()
  process.once('SIGINT', onSignal)
  process.once('SIGTERM', onSignal)
  try {
    const shop = copyShop(options.example, folder)
    cluster = await startShop(folder, options.version)
    const ok = await perform(cluster, shop, show, interrupted.signal)
    return ok ? 0 : 1
  } finally {
    process.off('SIGINT', onSignal)
    process.off('SIGTERM', onSignal)
    show.line('stopping the cluster and removing its files …')
    await cluster?.stop({ withinMs: 10_000 })
    rmSync(folder, { recursive: true, force: true })
  }
}

/** The example as a user would have it: its files, and the client of PostgreSQL that it needs beside them. */
function copyShop(example: string, folder: string): string {
  const shop = join(folder, 'shop')
  chmodSync(folder, 0o755) // PostgreSQL refuses to run as root: the account that it runs as has to enter the folder
  cpSync(example, shop, { recursive: true, filter: (path) => !/[/\\](data|\.understudy)$/.test(path) })
  mkdirSync(join(shop, 'node_modules'))
  mkdirSync(join(shop, 'data'))
  const pg = dirname(createRequire(import.meta.url).resolve('pg/package.json'))
  symlinkSync(pg, join(shop, 'node_modules', 'pg'))
  return shop
}

async function startShop(folder: string, version: string): Promise<LocalCluster> {
  const { file, raw } = await loadConfig(join(folder, 'shop', 'understudy.config.ts'))
  const { spec } = compileCluster(raw, { file })
  const nodes = spec.nodes.map((node, index) => ({ ...node, address: `${ADDRESSES}${11 + index}` }))
  return startLocal({ spec: { ...spec, nodes }, stateDir: join(folder, 'state'), version, configFile: file })
}

async function perform(cluster: LocalCluster, shop: string, show: Show, signal: AbortSignal): Promise<boolean> {
  show.opening(cluster.spec)
  const events: EventRecord[] = []
  const watched = new AbortController()
  inBackground(collect(cluster, events, show, AbortSignal.any([signal, watched.signal])), 'collecting events')
  if (!(await until(cluster, isCalm, READY_WITHIN_MS, signal)))
    throw new Error('the cluster did not become healthy in time')
  const balancers = cluster.spec.nodes.map(({ name, address }) => ({ node: name, url: `http://${address}:8080` }))
  const traffic = new Traffic(balancers)
  show.line(`everything is healthy; clients connect to all ${balancers.length} balancers`)
  await sleep(clock, CALM_MS)
  const outcomes: Outcome[] = []
  for (const fault of FAULTS) {
    if (signal.aborted) break
    outcomes.push(await suffer(fault, cluster, traffic, events, show, signal))
  }
  await traffic.end()
  watched.abort() // what is said while everything ends is of no interest
  const { address } = cluster.spec.nodes[0] ?? { address: '' }
  const orders = await checkOrders(shop, address, traffic.acknowledgedOrders())
  const workers = await checkWorkers(shop)
  return show.receipts(outcomes, [orders, workers]) && !signal.aborted
}

/** Each fault is done to a cluster that is whole: on a busy machine it may take a while after the one before. */
async function suffer(
  fault: Fault,
  cluster: LocalCluster,
  traffic: Traffic,
  events: readonly EventRecord[],
  show: Show,
  signal: AbortSignal,
): Promise<Outcome> {
  const since = Date.now() // requests are counted while it is waited for calm, too
  const before = await until(cluster, isNoFault(fault) ? () => true : isCalm, OVER_WITHIN_MS, signal)
  show.fault(fault.name)
  const from = Date.now()
  if (!before) {
    const what = signal.aborted ? 'not done: interrupted' : 'not done: the cluster was not whole again in time'
    show.line(what)
    return { fault: fault.name, what, detectedMs: null, backMs: null, tally: traffic.tally(since, from) }
  }
  const injected = await fault.inject(cluster, before)
  const { balancerDown } = injected
  if (balancerDown) traffic.leave(balancerDown)
  show.line(injected.what)
  const over = await until(cluster, (now) => injected.isOver(now, []), OVER_WITHIN_MS, signal)
  const backMs = over ? Date.now() - from : null
  if (balancerDown && cluster.nodes.get(balancerDown)?.phase === 'running') traffic.enter(balancerDown)
  await sleep(clock, CALM_MS)
  const notice = events.find((event) => isNotice(event, fault, from))
  return {
    fault: fault.name,
    what: injected.what,
    detectedMs: notice ? Date.parse(notice.at) - from : null,
    backMs,
    tally: traffic.tally(since, Date.now() - CALM_MS / 2, balancerDown),
  }
}

/** It brings back what an earlier fault took: the cluster is not whole before. */
function isNoFault({ service }: Fault): boolean {
  return service === undefined
}

function isNotice(event: EventRecord, fault: Fault, from: number): boolean {
  if (Date.parse(event.at) < from || event.kind !== 'noticed' || fault.service === undefined) return false
  return fault.service === null || event.service === fault.service
}

async function collect(cluster: LocalCluster, events: EventRecord[], show: Show, signal: AbortSignal): Promise<void> {
  for await (const event of cluster.client.follow({ signal })) {
    events.push(event)
    show.event(event)
  }
}

/** The first status that is as wanted; undefined when none was in time. */
async function until(
  cluster: LocalCluster,
  holds: (now: Status) => boolean,
  withinMs: number,
  signal: AbortSignal,
): Promise<Status | undefined> {
  const deadline = clock.mono() + withinMs
  while (clock.mono() < deadline && !signal.aborted) {
    const status = await cluster.client.status().catch(() => undefined) // no agent answers yet: ask again
    if (status && holds(status)) return status
    await sleep(clock, LOOK_EVERY_MS)
  }
  return undefined
}
