/**
 * Understudy as the bench sees it: three nodes with a database, the embedded store. No supervisor runs (`up`
 * would kill a frozen one, which no other machine can do), so that a frozen node is as frozen as a paused virtual machine.
 */
import { spawn } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { compileCluster } from '../../dist/config/compile.js'
import { defineCluster, postgres } from '../../dist/index.js'
import { systemClock } from '../../dist/lib/clock.js'
import { findProcesses, killProcesses } from '../../dist/local/node-processes.js'
import { startLocal } from '../../dist/local/start-cluster.js'
import { killEverything } from '../../dist/local/stop-cluster.js'
import { lockHolder } from '../../dist/stores/embedded/lock-holder.js'
import { addresses, family, freePort, signalAll, until } from './machine.mjs'

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))
const LOGIN = { user: 'bench', password: 'bench', database: 'bench' }

export async function startUnderstudy({ bin }) {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-failover-'))
  chmodSync(folder, 0o755) // PostgreSQL refuses to run as root: the account that it runs as has to get in
  const hosts = addresses()
  const port = await freePort(hosts[0])
  const { spec } = compileCluster(
    defineCluster({
      name: 'bench',
      nodes: Object.fromEntries(['a', 'b', 'c'].map((name, index) => [name, { address: hosts[index] }])),
      services: {
        db: postgres({
          instances: 3,
          listen: port,
          bin,
          database: { name: LOGIN.database, owner: LOGIN.user, password: LOGIN.password },
          settings: { shared_buffers: '32MB', max_connections: 100 },
        }),
      },
    }),
  )
  const cluster = await startLocal({ spec, stateDir: join(folder, 'state'), version: 'bench' })
  cluster.letGo()
  return new Understudy({ cluster, folder, hosts, port })
}

class Understudy {
  name = 'Understudy'
  #cluster
  #folder
  #port

  constructor({ cluster, folder, hosts, port }) {
    this.#cluster = cluster
    this.#folder = folder
    this.#port = port
    this.login = { ...LOGIN, hosts: hosts.map((host) => ({ host, port })) }
  }

  /** The doors of the nodes that are spared: a client of this node is gone with it. */
  hostsBeside(node) {
    return this.#cluster.spec.nodes
      .filter(({ name }) => name !== node)
      .map(({ address }) => ({ host: address, port: this.#port }))
  }

  async #db() {
    const { services } = await this.#cluster.client.status()
    return services.find(({ name }) => name === 'db')
  }

  async primary() {
    const { primary, instances } = await this.#db()
    const { pid, port } = instances.find(({ node }) => node === primary)
    return { node: primary, pid, direct: { host: this.#address(primary), port } }
  }

  /** One leads, two follow and count. */
  whole() {
    return until('a primary and two standbys, all of them well', async () => {
      const db = await this.#db().catch(() => undefined) // no agent answers yet
      const well = db?.instances.filter(({ healthy }) => healthy) ?? []
      return well.length === 3 && well.filter(({ role }) => role === 'primary').length === 1
    })
  }

  processesOf(node) {
    return findProcesses(this.#nodeFolder(node)).flatMap(({ identity }) => family(identity.pid))
  }

  async killNode(node) {
    await killProcesses(this.#nodeFolder(node))
  }

  /** Not while it holds the lock of the store: a file on this machine stands in for what no frozen machine can hold. */
  async freeze(node) {
    const frozen = this.processesOf(node)
    for (;;) {
      signalAll(frozen, 'SIGSTOP')
      const holder = lockHolder(this.#cluster.state.storeFile)
      if (!frozen.some(({ pid }) => pid === holder)) return frozen
      signalAll(frozen, 'SIGCONT')
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }

  startNode(node) {
    const args = [MAIN, 'agent', '--node', node, '--state', this.#cluster.state.path]
    spawn(process.execPath, args, { detached: true, stdio: 'ignore' }).unref()
  }

  async switchover() {
    await this.#cluster.client.switchover({ service: 'db' })
  }

  /** The marks of the last change of primary, in milliseconds after the fault (`faultAt`, Date.now). */
  async receipt(faultAt) {
    const receipts = await this.#cluster.client.receipts({ service: 'db' })
    const mine = receipts
      .filter(({ kind, noticedAt }) => kind !== 'repair' && Date.parse(noticedAt) >= faultAt - 50)
      .toSorted((one, other) => Date.parse(one.noticedAt) - Date.parse(other.noticedAt))[0]
    if (!mine) return null
    const noticedMs = Date.parse(mine.noticedAt) - faultAt
    const marks = mine.marks.map(({ name, atMs }) => [name, noticedMs + atMs])
    return Object.fromEntries([['noticed', noticedMs], ...marks, ['back', noticedMs + mine.backAfterMs]])
  }

  /** What the agents told since the fault, in lines. */
  async told(faultAt) {
    const events = await this.#cluster.client.events({ last: 200 })
    return events
      .filter(({ at }) => Date.parse(at) >= faultAt)
      .map(({ at, node, kind, rule, why }) => `${Date.parse(at) - faultAt} ms  ${node}  ${kind}  ${rule}  ${why}`)
  }

  async stop() {
    await killEverything(this.#cluster.state, systemClock)
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 })
  }

  #address(node) {
    return this.#cluster.spec.nodes.find(({ name }) => name === node).address
  }

  #nodeFolder(node) {
    return this.#cluster.state.node(node)
  }
}
