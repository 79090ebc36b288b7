/**
 * Patroni as the bench sees it: three nodes of Patroni and PostgreSQL 15, one etcd. Clients go straight to the servers, over
 * the nodes in turn, which is quicker than a proxy that has to notice first. Everything is chosen in Patroni's favour: etcd is
 * one process that no fault touches, and synchronous mode is not strict, so that it takes writes before a standby is back.
 */
import { spawn } from 'node:child_process'
import {
  accessSync,
  chmodSync,
  chownSync,
  closeSync,
  constants,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { accountFor } from '../../dist/drivers/postgres/server/account.js'
import { identify } from '../../dist/lib/proc.js'
import { addresses, family, freePort, killAll, signalAll, systemPostgres, until } from './machine.mjs'

const LOGIN = { user: 'bench', password: 'bench', database: 'postgres' }

/** `retry_timeout` and `loop_wait` as low as Patroni's own rule lets them be: loop_wait + 2 × retry_timeout ≤ ttl. */
export const PATRONI_SETTINGS = {
  patroni: {
    name: 'Patroni ttl 5',
    means:
      'ttl 5, loop_wait 1, retry_timeout 2, primary_start_timeout 0: as fast as the version of Debian 12 (3.0) lets it be',
    ttl: 5,
    loopWait: 1,
    retryTimeout: 2,
  },
  'patroni-20': {
    name: 'Patroni ttl 20',
    means: 'ttl 20, loop_wait 1, retry_timeout 3, primary_start_timeout 0: the least ttl that its newer versions allow',
    ttl: 20,
    loopWait: 1,
    retryTimeout: 3,
  },
}

/** What has to be installed first, with the command; null when all of it is here. */
export function missingForPatroni() {
  const here = (name) => (process.env.PATH ?? '').split(delimiter).some((dir) => canRun(join(dir, name)))
  const packages = [
    ...(here('patroni') ? [] : ['patroni', 'python3-etcd']),
    ...(here('etcd') ? [] : ['etcd-server']),
    ...(systemPostgres() ? [] : ['postgresql-15']),
  ]
  if (packages.length === 0) return null
  return `--vs patroni needs ${packages.join(', ')}: sudo apt-get install --no-install-recommends ${packages.join(' ')}`
}

function canRun(path) {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false // not there, or not for us
  }
}

export async function startPatroni(settings) {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-failover-peer-'))
  chmodSync(folder, 0o755)
  const account = accountFor(null)
  const hosts = addresses()
  const [etcdPort, apiPort, port] = [await freePort(hosts[0]), await freePort(hosts[0]), await freePort(hosts[0])]
  const patroni = new Patroni({ folder, account, hosts, etcdPort, apiPort, port, settings })
  try {
    await patroni.begin()
  } catch (error) {
    await patroni.stop()
    throw error
  }
  return patroni
}

class Patroni {
  #parts
  #started = []
  #patroniOf = new Map()

  constructor(parts) {
    this.#parts = parts
    const { hosts, port, settings } = parts
    this.name = settings.name
    this.leastFreezeMs = settings.ttl * 1_000 + 10_000
    this.login = { ...LOGIN, hosts: hosts.map((host) => ({ host, port })) }
  }

  async begin() {
    const { folder, hosts, etcdPort } = this.#parts
    const url = `http://${hosts[0]}:${etcdPort}`
    const peers = `http://${hosts[0]}:${await freePort(hosts[0])}`
    this.#run('etcd', [
      ...['--name', 'only', '--data-dir', join(folder, 'etcd')],
      ...['--listen-client-urls', url, '--advertise-client-urls', url],
      ...['--listen-peer-urls', peers, '--initial-advertise-peer-urls', peers, '--initial-cluster', `only=${peers}`],
    ])
    await until('etcd', () =>
      fetch(`${url}/health`).then(
        ({ ok }) => ok,
        () => false,
      ),
    )
    for (const node of ['a', 'b', 'c']) this.#prepare(node)
    this.startNode('a')
    await until('a first primary', async () => (await this.#members()).some(({ role }) => role === 'leader'))
    this.startNode('b')
    this.startNode('c')
  }

  /** Straight to the servers, whichever of them leads: all of them, always. */
  hostsBeside() {
    return this.login.hosts
  }

  async primary() {
    const leader = (await this.#members()).find(({ role, state }) => role === 'leader' && state === 'running')
    if (!leader) throw new Error('there is no primary')
    return { node: leader.name, pid: this.#postmaster(leader.name), direct: { host: leader.host, port: leader.port } }
  }

  /** One leads, one is its synchronous standby, the third follows. */
  whole() {
    return until(
      'a primary and two standbys of Patroni',
      async () => {
        const members = await this.#members()
        const well = members.filter(({ state, lag }) => ['running', 'streaming'].includes(state) && (lag ?? 0) === 0)
        const roles = well.map(({ role }) => role).sort()
        return roles.join() === 'leader,replica,sync_standby'
      },
      180_000,
    )
  }

  processesOf(node) {
    const { pid } = this.#patroniOf.get(node)
    const postmaster = this.#postmaster(node)
    return [...family(pid), ...(postmaster ? family(postmaster) : [])]
  }

  async killNode(node) {
    const doomed = this.processesOf(node)
    signalAll(doomed, 'SIGKILL')
    await killAll(doomed)
  }

  async freeze(node) {
    const frozen = this.processesOf(node)
    signalAll(frozen, 'SIGSTOP')
    return frozen
  }

  startNode(node) {
    this.#patroniOf.set(node, this.#run('patroni', [join(this.#parts.folder, `${node}.yml`)], this.#parts.account))
  }

  async switchover({ node }) {
    const { hosts, apiPort } = this.#parts
    const url = `http://${hosts['abc'.indexOf(node)]}:${apiPort}/switchover`
    const response = await fetch(url, { method: 'POST', body: JSON.stringify({ leader: node }) })
    if (!response.ok) throw new Error(`Patroni did not switch over: ${await response.text()}`)
  }

  async receipt() {
    return null // it leaves none
  }

  async told() {
    return []
  }

  async stop() {
    const everything = [...'abc'].flatMap((node) => {
      const postmaster = this.#postmaster(node)
      return postmaster ? family(postmaster) : []
    })
    const all = [...this.#started.flatMap(({ pid }) => family(pid)), ...everything]
    signalAll(all, 'SIGKILL')
    await killAll(all)
    rmSync(this.#parts.folder, { recursive: true, force: true, maxRetries: 5 })
  }

  async #members() {
    const { hosts, apiPort } = this.#parts
    const answers = hosts.map(async (host) => {
      const response = await fetch(`http://${host}:${apiPort}/cluster`, { signal: AbortSignal.timeout(1_000) })
      return (await response.json()).members
    })
    return Promise.any(answers).catch(() => []) // none of them answers yet
  }

  #postmaster(node) {
    try {
      const pid = Number(readFileSync(join(this.#parts.folder, node, 'data', 'postmaster.pid'), 'utf8').split('\n')[0])
      return identify(pid) ? pid : null
    } catch {
      return null // none runs
    }
  }

  #run(program, args, account) {
    const log = openSync(join(this.#parts.folder, `${program}.log`), 'a')
    const child = spawn(program, args, {
      detached: true,
      stdio: ['ignore', log, log],
      cwd: this.#parts.folder,
      ...account,
    })
    closeSync(log)
    child.on('error', () => {}) // it is missed soon enough
    child.unref()
    this.#started.push(child)
    return child
  }

  #prepare(node) {
    const { folder, account, hosts, apiPort, port, etcdPort, settings } = this.#parts
    const host = hosts['abc'.indexOf(node)]
    mkdirSync(join(folder, node))
    if (account) chownSync(join(folder, node), account.uid, account.gid)
    const config = {
      scope: 'bench',
      name: node,
      restapi: { listen: `${host}:${apiPort}`, connect_address: `${host}:${apiPort}` },
      etcd3: { host: `${hosts[0]}:${etcdPort}` },
      bootstrap: {
        dcs: {
          ttl: settings.ttl,
          loop_wait: settings.loopWait,
          retry_timeout: settings.retryTimeout,
          primary_start_timeout: 0,
          synchronous_mode: true,
          postgresql: {
            use_pg_rewind: true,
            use_slots: true,
            parameters: {
              wal_log_hints: 'on',
              max_connections: 100,
              shared_buffers: '32MB',
              wal_retrieve_retry_interval: '100ms',
            },
          },
        },
        initdb: ['data-checksums', { encoding: 'UTF8' }, { locale: 'C.UTF-8' }],
        users: { [LOGIN.user]: { password: LOGIN.password, options: ['superuser'] } },
      },
      postgresql: {
        listen: `${host}:${port}`,
        connect_address: `${host}:${port}`,
        data_dir: join(folder, node, 'data'),
        bin_dir: systemPostgres(),
        pgpass: join(folder, node, 'pgpass'),
        parameters: { unix_socket_directories: join(folder, node) },
        pg_hba: [
          'local all all trust',
          'host all all 127.0.0.0/8 scram-sha-256',
          'host replication all 127.0.0.0/8 scram-sha-256',
        ],
        authentication: {
          superuser: { username: 'postgres', password: 'bench' },
          replication: { username: 'replicator', password: 'bench' },
          rewind: { username: 'rewinder', password: 'bench' },
        },
      },
    }
    writeFileSync(join(folder, `${node}.yml`), JSON.stringify(config, null, 1)) // JSON is YAML
  }
}
