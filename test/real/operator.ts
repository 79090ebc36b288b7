/**
 * An operator at a terminal, for tests: the built program in a folder of its own, on loopback addresses and ports of its
 * own. Everything that was started is gone afterwards, also when a test fails.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isUp } from '../../src/api/closed-endpoints.ts'
import type { Explanation, InstanceStatus, ServiceStatus, Status } from '../../src/client/index.ts'
import { systemClock as clock, sleep } from '../../src/lib/clock.ts'
import { StateFolder } from '../../src/local/cluster-folder.ts'
import { killEverything } from '../../src/local/stop-cluster.ts'
import { claimHolder } from '../../src/local/up-claim.ts'

const MAIN = new URL('../../dist/cli/main.js', import.meta.url).pathname
const PATIENCE_MS = 30_000

export interface Outcome {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

export class Operator {
  readonly folder = mkdtempSync(join(tmpdir(), 'understudy-operator-'))
  readonly state: StateFolder
  /** Every node of a test has an address of its own, so that fixed ports are as good as free ones. */
  readonly #prefix = `127.${randomInt(100, 250)}.${randomInt(1, 250)}`
  readonly #started: ChildProcess[] = []

  constructor(state = '.understudy') {
    this.state = new StateFolder(join(this.folder, state))
  }

  address(node: string): string {
    return `${this.#prefix}.${11 + 'abcd'.indexOf(node)}`
  }

  write(file: string, text: string): void {
    writeFileSync(join(this.folder, file), text)
  }

  /** `services` is the text between the braces. */
  config(services: string, more = ''): void {
    const nodes = ['a', 'b', 'c'].map((name) => `${name}: { address: '${this.address(name)}' }`).join(', ')
    const text = `import { command, defineCluster, http } from 'understudy'
      export default defineCluster({ name: 'try', nodes: { ${nodes} }, services: { ${services} }, ${more} })`
    this.write('understudy.config.ts', text)
  }

  start(...args: readonly string[]) {
    const child = spawn(process.execPath, [MAIN, ...args], {
      cwd: this.folder,
      env: { ...process.env, UNDERSTUDY_STATE: this.state.path },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#started.push(child)
    let out = ''
    let err = ''
    child.stdout.on('data', (data) => {
      out += data
    })
    child.stderr.on('data', (data) => {
      err += data
    })
    const ended = new Promise<Outcome>((resolve) => child.once('close', (code) => resolve({ code, out, err })))
    return { child, ended, output: () => out, complaints: () => err }
  }

  run(...args: readonly string[]): Promise<Outcome> {
    return this.start(...args).ended
  }

  async json<T>(...args: readonly string[]): Promise<T> {
    const { code, out, err } = await this.run(...args, '--json')
    if (out === '') throw new Error(`${args.join(' ')}: exit code ${code}: ${err}`)
    return JSON.parse(out) as T
  }

  why(service: string): Promise<Explanation> {
    return this.json('why', service)
  }

  /** Waits until the status is as wanted; rejects with the last one. */
  async until(what: string, holds: (status: Status) => boolean, withinMs = PATIENCE_MS): Promise<Status> {
    const deadline = clock.mono() + withinMs
    let last: Status | undefined
    while (clock.mono() < deadline) {
      last = await this.json<Status>('status').catch(() => undefined) // no agent answers yet
      if (last && 'services' in last && holds(last)) return last
      await sleep(clock, 50)
    }
    const events = (await this.run('events', '-n', '25')).out
    throw new Error(
      `not within ${withinMs} ms: ${what}\n${JSON.stringify(last?.services.map(({ endpoints: _, ...one }) => one))}\n${events}`,
    )
  }

  async close(): Promise<void> {
    for (const child of this.#started) child.kill('SIGKILL')
    const holder = claimHolder(this.state.claimFile)
    if (holder) process.kill(holder.pid, 'SIGKILL')
    await killEverything(this.state, clock)
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 })
  }
}

export function allHealthy(status: Status): boolean {
  const { services, nodes } = status
  const standing = nodes.every(({ alive, fencePid, balancerPid }) => alive && fencePid && balancerPid)
  return standing && services.every((service) => healthy(service) && isUp(status, service))
}

/** With every copy that runs. */
export function healthy(service: ServiceStatus): boolean {
  return service.healthy && service.instances.every((instance) => instance.healthy || instance.state === 'stopped')
}

export function serviceIn(status: Status, name: string): ServiceStatus {
  const service = status.services.find((one) => one.name === name)
  if (!service) throw new Error(`no service ${name}`)
  return service
}

export function instancesIn(status: Status, name: string): readonly InstanceStatus[] {
  return serviceIn(status, name).instances
}

/** Everything that a TCP peer answers to these bytes until it closes, and whether it did. */
export function say(
  host: string,
  port: number,
  bytes: string,
  withinMs = 5_000,
): Promise<{ said: string; closed: boolean }> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, host, () => socket.write(bytes, 'latin1'))
    let said = ''
    const timer = setTimeout(() => {
      resolve({ said, closed: false })
      socket.destroy()
    }, withinMs)
    socket.setEncoding('latin1')
    socket.on('data', (data) => {
      said += data
    })
    socket.once('error', (error: NodeJS.ErrnoException) => {
      clearTimeout(timer)
      if (error.code === 'ECONNRESET' || error.code === 'EPIPE') resolve({ said, closed: true })
      else reject(error)
    })
    socket.once('close', () => {
      clearTimeout(timer)
      resolve({ said, closed: true })
    })
  })
}
