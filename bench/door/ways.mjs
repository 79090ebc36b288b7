/** A PostgreSQL server and the ways to it: straight, through PgBouncer, through a bare relay, through the door. */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { connectBalancer } from '../../dist/balancer/control-protocol.js'
import { freePort } from '../failover/machine.mjs'

/** The newest installed PostgreSQL that has pgbench; undefined when there is none. */
export function binaries() {
  const root = '/usr/lib/postgresql'
  const versions = existsSync(root) ? readdirSync(root).sort((a, b) => Number(b) - Number(a)) : []
  return versions.map((version) => join(root, version, 'bin')).find((path) => existsSync(join(path, 'pgbench')))
}

/** Everything that is started here ends with `end`. */
export class Ways {
  folder = mkdtempSync(join(tmpdir(), 'understudy-bench-'))
  #bin
  #account = accountOf('postgres')
  #children = []
  #server = 0

  constructor(bin) {
    this.#bin = bin
    chmodSync(this.folder, 0o755)
  }

  async direct() {
    const data = join(this.folder, 'data')
    mkdirSync(data, { mode: 0o700 })
    if (this.#account.uid !== undefined) chownSync(data, this.#account.uid, this.#account.gid)
    this.#server = await freePort('127.0.0.1')
    const initdb = ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8']
    execFileSync(join(this.#bin, 'initdb'), initdb, { ...this.#account, stdio: 'ignore' })
    const settings = ['listen_addresses=127.0.0.1', 'max_connections=700', 'shared_buffers=1GB'].flatMap((setting) => [
      '-c',
      setting,
    ])
    const server = ['-D', data, '-p', String(this.#server), '-k', '', ...settings]
    this.#begin(join(this.#bin, 'postgres'), server, this.#account)
    await this.#answers(this.#server)
    return { port: this.#server }
  }

  async pgbouncer() {
    const program = ['/usr/sbin/pgbouncer', '/usr/bin/pgbouncer'].find((path) => existsSync(path))
    if (program === undefined) {
      console.log('left out: PgBouncer is not installed (apt-get install pgbouncer)')
      return undefined
    }
    const port = await freePort('127.0.0.1')
    const config = join(this.folder, 'pgbouncer.ini')
    const users = join(this.folder, 'users.txt')
    writeFileSync(users, '"postgres" ""\n')
    writeFileSync(
      config,
      `[databases]\n* = host=127.0.0.1 port=${this.#server}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = ${port}\n` +
        `unix_socket_dir =\nauth_type = trust\nauth_file = ${users}\npool_mode = session\n` +
        'max_client_conn = 1000\ndefault_pool_size = 650\nlog_connections = 0\nlog_disconnections = 0\nverbose = 0\n',
    )
    const { pid } = this.#begin(program, ['-q', config], this.#account)
    await this.#answers(port)
    return { port, pid }
  }

  async relay() {
    const port = await freePort('127.0.0.1')
    const program = join(import.meta.dirname, 'bare-relay.mjs')
    const { pid } = this.#begin(process.execPath, [program, String(port), String(this.#server)])
    await this.#answers(port)
    return { port, pid }
  }

  /** `dist`: of which build. */
  async door(dist = join(import.meta.dirname, '../../dist')) {
    const port = await freePort('127.0.0.1')
    const [socket, saved] = [join(this.folder, `${port}.sock`), join(this.folder, `${port}.json`)]
    const program = join(resolve(dist), 'balancer/main.js')
    const child = this.#begin(process.execPath, [program, '--socket', socket, '--saved', saved])
    await listens(socket, port, this.#server)
    return { port, pid: child.pid }
  }

  /** What pgbench prints. */
  async pgbench(port, args) {
    const place = ['-h', '127.0.0.1', '-p', String(port), '-U', 'postgres']
    const child = spawn(join(this.#bin, 'pgbench'), [...place, ...args, 'postgres'], { cwd: this.folder })
    let [out, complaints] = ['', '']
    child.stdout.on('data', (chunk) => {
      out += chunk
    })
    child.stderr.on('data', (chunk) => {
      complaints += chunk
    })
    const [code] = await once(child, 'close')
    if (code !== 0) throw new Error(`pgbench ended with ${code}: ${complaints}`)
    return out
  }

  /** What was written by now troubles no measurement later. */
  checkpoint(port) {
    const asked = ['-h', '127.0.0.1', '-p', String(port), '-U', 'postgres', '-qc', 'checkpoint', 'postgres']
    execFileSync(join(this.#bin, 'psql'), asked)
  }

  async end() {
    for (const child of this.#children.reverse()) {
      if (child.exitCode !== null || child.signalCode !== null) continue
      const exited = once(child, 'exit')
      child.kill('SIGINT')
      await exited
    }
    rmSync(this.folder, { recursive: true, force: true })
  }

  #begin(program, args, account = {}) {
    const child = spawn(program, args, { ...account, stdio: ['ignore', 'ignore', account.uid ? 'ignore' : 'inherit'] })
    this.#children.push(child)
    return child
  }

  async #answers(port) {
    for (let tries = 0; tries < 300; tries++) {
      const asked = ['-q', '-h', '127.0.0.1', '-p', String(port)]
      const [code] = await once(spawn(join(this.#bin, 'pg_isready'), asked, { stdio: 'ignore' }), 'close')
      if (code === 0) return
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    throw new Error(`nothing answers on ${port}`)
  }
}

function listens(socket, port, server) {
  return new Promise((resolve) => {
    const link = connectBalancer(socket, {
      onMessage(message) {
        if (message.type !== 'listening') return
        link.close()
        resolve()
      },
      onGone() {},
    })
    const target = { id: 'db@a:1', node: 'a', host: '127.0.0.1', port: server, state: 'serving', term: 1 }
    const probe = { path: null, everyMs: 1_000, timeoutMs: 1_000 }
    const place = { service: 'db', protocol: 'postgres', purpose: 'primary', host: '127.0.0.1', port }
    const route = { ...place, holdMs: 20_000, probe, targets: [target], peers: [], readOnly: null }
    link.publish({ version: 1, node: 'a', routes: [route] })
  })
}

/** Neither PostgreSQL nor PgBouncer may run as root. */
function accountOf(name) {
  if (process.getuid() !== 0) return {}
  const id = (flag) => Number(execFileSync('id', [flag, name], { encoding: 'utf8' }))
  return { uid: id('-u'), gid: id('-g') }
}
