/** A place for one instance of a process service in a folder of its own, and what tests do there. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ServiceSpec, ServiceTiming } from '../../src/core/model.ts'
import type { Driver } from '../../src/drivers/driver.ts'
import { createProcessDriver, type ProcessDriverParts } from '../../src/drivers/process/driver.ts'
import { type ProcessOptions, processTraits } from '../../src/drivers/process/options.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { readJson } from '../../src/lib/files.ts'
import { groupIsAlive, isAlive, type ProcessIdentity, signalGroup } from '../../src/lib/proc.ts'
import { seededRandom } from '../../src/lib/random.ts'

export const PROGRAMS = join(import.meta.dirname, 'programs')
export const WEB = [process.execPath, join(PROGRAMS, 'web.mjs')]
export const worker = (...habits: string[]) => [process.execPath, join(PROGRAMS, 'worker.mjs'), ...habits]

const TIMING: ServiceTiming = {
  leaseMs: 1_000,
  graceMs: 2_000,
  settleMs: 20,
  startWithinMs: 10_000,
  unhealthyForMs: 1_000,
  probeEveryMs: 100,
  probeTimeoutMs: 500,
  holdMs: 5_000,
}

export class ProcessPlace {
  readonly dir = mkdtempSync(join(tmpdir(), 'und-process-'))
  readonly #drivers: Driver[] = []
  readonly #options: Partial<ProcessOptions>
  readonly #timing: Partial<ServiceTiming>

  constructor(options: Partial<ProcessOptions>, timing: Partial<ServiceTiming> = {}) {
    this.#options = options
    this.#timing = timing
  }

  /** Plain JSON: it can be handed to another process. */
  parts(): Omit<ProcessDriverParts, 'clock' | 'random' | 'loopLagMs'> {
    const options: ProcessOptions = {
      run: 'true',
      cwd: this.dir,
      env: {},
      user: null,
      stopSignal: 'SIGTERM',
      limits: {},
      port: null,
      health: { http: null, exec: null },
      promote: null,
      logBytes: 10 * 1024 * 1024,
      logFiles: 3,
      ...this.#options,
    }
    const service: ServiceSpec = {
      name: 'svc',
      kind: 'http',
      redundancy: 'active-passive',
      instances: 2,
      traits: processTraits('active-passive'),
      standby: 'warm',
      needs: [],
      nodes: [],
      endpoints: [],
      timing: { ...TIMING, ...this.#timing },
      objectives: {},
      options,
    }
    const node = { name: 'a', address: '127.0.0.1', zone: 'z', region: 'r' }
    // The folder is in the hash that chooses the port, so that tests side by side rarely want the same one.
    return { cluster: this.dir, node, service, nodeDir: this.dir }
  }

  open(loopLagMs = () => 0): Driver {
    const driver = createProcessDriver({ ...this.parts(), clock: systemClock, random: seededRandom(1), loopLagMs })
    this.#drivers.push(driver)
    return driver
  }

  log(): string {
    return this.read('logs/svc.log')
  }

  read(path: string): string {
    try {
      return readFileSync(join(this.dir, path), 'utf8')
    } catch {
      return '' // not there yet
    }
  }

  record(): { identity: ProcessIdentity; phase: string; failures: number; port: number; role: string; term: number } {
    return readJson(join(this.dir, 'instances/svc.json')) as ReturnType<ProcessPlace['record']>
  }

  /** Ends whatever is left, however the test went. */
  async close(): Promise<void> {
    for (const driver of this.#drivers) await driver.close()
    const identity = this.record()?.identity
    if (identity && (isAlive(identity) || groupIsAlive(identity.pid))) {
      signalGroup(identity.pid, 'SIGKILL')
      await until('everything is gone', () => !groupIsAlive(identity.pid))
    }
    rmSync(this.dir, { recursive: true, force: true })
  }
}

/** Waits for a condition, with a deadline. */
export async function until(what: string, done: () => boolean | Promise<boolean>, withinMs = 20_000): Promise<void> {
  const deadline = systemClock.mono() + withinMs
  while (!(await done())) {
    if (systemClock.mono() > deadline) throw new Error(`not within ${withinMs} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}
