/** Where one instance lives: names, files and what it is started with. */
import { join } from 'node:path'
import type { NodeSpec, Role, ServiceSpec, Term } from '../../core/model.ts'
import { choosePort, firstPort, requirePort } from '../instance-port.ts'
import type { SecretSource } from '../secret-source.ts'
import { commandWords } from './command-line.ts'
import { inheritedEnvironment, instanceEnvironment } from './environment.ts'
import { type GivenSecrets, openedIn, secretsNow } from './given-secrets.ts'
import { allChecks, type Check, execCheck, httpCheck } from './health-check.ts'
import { listeningAddresses } from './listening-ports.ts'
import type { LogPlace } from './log-writer.ts'
import type { ProcessOptions } from './options.ts'
import { lookUpUser, type RunAs } from './run-as.ts'
import { removeSecretFiles, secretFilePath, writeSecretFiles } from './secret-files.ts'
import { type Gate, spawnGate } from './spawn.ts'
import { writeState } from './state-writes.ts'

export class Place {
  readonly recordPath: string
  readonly termFile: string
  readonly log: LogPlace
  readonly options: ProcessOptions
  readonly #cluster: string
  readonly #node: NodeSpec
  readonly #service: ServiceSpec
  readonly #nodeDir: string
  readonly #source: SecretSource | undefined

  constructor(cluster: string, node: NodeSpec, service: ServiceSpec, nodeDir: string, secrets?: SecretSource) {
    this.recordPath = join(nodeDir, 'instances', `${service.name}.json`)
    this.termFile = join(nodeDir, 'instances', `${service.name}.term`)
    this.options = service.options as ProcessOptions // compiled by the config room into this very type
    const { logBytes: bytes, logFiles: files } = this.options
    this.log = { path: join(nodeDir, 'logs', `${service.name}.log`), bytes, files }
    this.#cluster = cluster
    this.#node = node
    this.#service = service
    this.#nodeDir = nodeDir
    this.#source = secrets
  }

  /** The port of the next instance: the fixed one, or the one it had before if it is free, or another. */
  findPort(lastPort: number | null): Promise<number> {
    const { address, name } = this.#node
    if (this.options.port !== null) return requirePort(address, this.options.port)
    return choosePort(address, lastPort, firstPort(this.#cluster, name, this.#service.name))
  }

  /** What an instance that is started now is given. Throws a refusal when a secret is not set. */
  secretsNow(): GivenSecrets {
    return secretsNow(this.options, this.#source)
  }

  async spawn(role: Exclude<Role, 'none'>, term: Term, port: number, given: GivenSecrets): Promise<Gate> {
    const { run, cwd, limits, secretFiles = {} } = this.options
    const runAs = await this.#runAs()
    writeSecretFiles(this.#nodeDir, this.#service.name, openedIn(secretFiles, given, this.#source), runAs)
    const env = this.#environment(runAs, role, term, port, given)
    return spawnGate({ words: commandWords(run), cwd, env, runAs, limits, log: this.log })
  }

  /** How to ask an instance on `port` whether it is healthy; null when there is nothing to ask. `group`: of its processes, once it runs. */
  async check(
    role: Exclude<Role, 'none'>,
    term: Term,
    port: number,
    group: () => number | undefined,
    given: GivenSecrets,
  ): Promise<Check | null> {
    const { health, cwd } = this.options
    const timeoutMs = this.#service.timing.probeTimeoutMs
    const checks: Check[] = []
    const listens = seldom(() => listeningAddresses(group() ?? 0))
    if (health.http !== null) {
      const where = { host: this.#node.address, port, timeoutMs, listens }
      checks.push(httpCheck({ ...health.asks, path: health.http, ...where }))
    }
    if (health.exec !== null) {
      const runAs = await this.#runAs()
      const env = () => this.#environment(runAs, role, term, port, given)
      checks.push(execCheck({ run: health.exec, cwd, env, runAs, timeoutMs }))
    }
    return checks.length === 0 ? null : allChecks(checks)
  }

  /** Says the present term to a program that can only be signalled. Readable for every user that it may run as. */
  writeTerm(term: Term): void {
    writeState(this.termFile, `${term}\n`, 0o644)
  }

  async #runAs(): Promise<RunAs | null> {
    return this.options.user === null ? null : lookUpUser(this.options.user)
  }

  /** Nothing of it is left. */
  removeSecrets(): void {
    removeSecretFiles(this.#nodeDir, this.#service.name) // also of an instance from before the config changed
  }

  /** Made for each program that is started, and not kept: secrets are in it. */
  #environment(
    runAs: RunAs | null,
    role: Exclude<Role, 'none'>,
    term: Term,
    port: number,
    given: GivenSecrets,
  ): NodeJS.ProcessEnv {
    const { env, secretFiles = {} } = this.options
    const files = Object.keys(secretFiles).map((variable) => {
      return [variable, secretFilePath(this.#nodeDir, this.#service.name, variable)] as const
    })
    return {
      ...inheritedEnvironment(process.env),
      ...runAs?.env,
      ...openedIn(env, given, this.#source),
      ...Object.fromEntries(files),
      ...instanceEnvironment({
        cluster: this.#cluster,
        node: this.#node.name,
        service: this.#service.name,
        role,
        term,
        termFile: this.termFile,
        host: this.#node.address,
        port,
      }),
    }
  }
}

/** A program that is still starting refuses twenty times a second: where it listens is looked up once in so long. */
const LOOKED_UP_AGAIN_MS = 1_000

function seldom(look: () => readonly string[]): () => readonly string[] {
  let [known, at]: [readonly string[], number] = [[], Number.NEGATIVE_INFINITY]
  return () => {
    const now = performance.now()
    if (now - at >= LOOKED_UP_AGAIN_MS) [known, at] = [look(), now]
    return known
  }
}
