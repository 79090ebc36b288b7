/** Scenarios as tests: a promise that rejects when the cluster does not do what is expected of it. */
import { compileCluster } from '../../config/compile.ts'
import { parse } from './language.ts'
import { tellScenario } from './runner.ts'

export interface ExpectOptions {
  /**
   * A cluster config: what `defineCluster` returns, or what a config file exports. Its own nodes, services, redundancy and timing
   * play; programs and databases are simulated, so no program is started and no port is opened. Default: `cluster` and `service` lines
   * of the scenario. A config that is not right rejects with UND_CONFIG_INVALID.
   */
  readonly config?: unknown
  /** Each seed is another weather: delays of messages, of processes and of the store. Default: 1, 2 and 3. */
  readonly seeds?: readonly number[]
}

/** An expectation was not met, or a promise of the cluster was broken. The message has the whole transcript. */
export class ScenarioFailed extends Error {
  override readonly name = 'ScenarioFailed'
  readonly seed: number
  /** What was expected and is not so; promises that were broken. Never empty. */
  readonly failures: readonly string[]
  readonly transcript: string

  constructor(seed: number, failures: readonly string[], transcript: string) {
    super(`seed ${seed}: ${failures.join('; ')}\n\n${transcript}`)
    this.seed = seed
    this.failures = failures
    this.transcript = transcript
  }
}

/**
 * Performs a scenario in virtual time, once for each seed. Resolves when every expectation is met and no promise of the cluster was
 * broken (two writers, an acknowledged write lost). Rejects with `ScenarioFailed`, or with an Error when a line makes no sense, names
 * a node or a service that is not there, or when no line expects anything: such a test could not fail.
 */
export async function expectScenario(source: string, options: ExpectOptions = {}): Promise<void> {
  const { config, seeds = [1, 2, 3] } = options
  if (!parse(source).some((command) => command.do.startsWith('expect')))
    throw new Error('this scenario expects nothing, so it cannot fail: add a line that begins with “expect”')
  if (seeds.length === 0) throw new Error('no seeds: nothing would be performed')
  const played = config === undefined ? {} : { cluster: compileCluster(config, { isLocal: () => true }).spec }
  for (const seed of seeds) {
    const { failures, text } = await tellScenario(source, { seed, ...played })
    if (failures.length > 0) throw new ScenarioFailed(seed, failures, text)
  }
}
