/**
 * Takes over from the `up` that looks after the agents, with one of this version, and has the nodes follow one after the other. The
 * process behind looks after the agents from then on, so a Ctrl-C here ends nothing but this command.
 */
import { type Client, connect } from '../../client/index.ts'
import type { ClusterSpec } from '../../core/model.ts'
import { UnderstudyError } from '../../errors.ts'
import { systemClock } from '../../lib/clock.ts'
import { signal } from '../../lib/proc.ts'
import { apiAddresses, type StateFolder } from '../../local/cluster-folder.ts'
import { letGoOf } from '../../local/end-cluster.ts'
import { findAgent } from '../../local/node-processes.ts'
import { asEachSays, isUpgraded, type UpgradeStep, upgradeNodes, upgradeRefusal } from '../../local/upgrade-nodes.ts'
import { type CommonOptions, openSession } from '../cluster-session.ts'
import { resumeBehind } from '../detach.ts'
import { versionLines } from '../print/print-status.ts'
import { version } from '../version.ts'
import { type AddCommand, clusterCommand, durationOption, printJsonLine } from './command.ts'

interface UpgradeCommandOptions extends CommonOptions {
  readonly self?: boolean
  readonly force?: boolean
  readonly timeout: number
}

export const addUpgrade: AddCommand = (program, io) => {
  clusterCommand(program, 'upgrade', 'bring Understudy itself to this version', EXAMPLE)
    .requiredOption('--self', 'upgrade Understudy itself to the version of this program (also back to an earlier one)')
    .option('--force', 'also when a node is down or a service is not healthy')
    .option('--timeout <duration>', 'how long one node may take', durationOption, 120_000)
    .action(async (options: UpgradeCommandOptions) => {
      const { state, spec, client } = openSession(io, options)
      const status = (node?: string) => (node === undefined ? client : clientOf(state, spec, node)).status()
      const own = version()
      const force = options.force === true
      const before = await asEachSays({ status })
      const refusal = upgradeRefusal(before, force)
      if (refusal !== undefined) throw new UnderstudyError('UND_REFUSED', refusal)
      const say = (text: string, value: object) => (options.json ? printJsonLine(io, value) : io.out(text))
      if (before.nodes.every((node) => isUpgraded(node, own))) {
        say(`Every node is of version ${own} already.`, { what: 'nothing to do', version: own })
        return
      }
      await letGoOf(state, systemClock)
      const pid = await resumeBehind(state)
      say(`Process ${pid} looks after the agents from now on (its log is ${state.upLog}).`, { what: 'took over', pid })
      const after = await upgradeNodes(
        {
          ...{ version: own, clock: systemClock },
          status,
          restartAgent(node) {
            const agent = findAgent(state.node(node))
            if (agent) signal(agent, 'SIGTERM')
          },
          tell: (step: UpgradeStep) => say(step.why, step),
        },
        { withinMs: options.timeout, force },
      )
      say(`Done: version ${own}.`, { what: 'done', version: own, nodes: after.nodes })
      if (!options.json) for (const line of versionLines(io, after)) io.out(line)
    })
}

/** Asks the agent of this node and no other. */
function clientOf(state: StateFolder, spec: ClusterSpec, node: string): Client {
  const nodes = spec.nodes.filter(({ name }) => name === node)
  return connect({ addresses: apiAddresses({ ...spec, nodes }), token: state.readToken() ?? '' })
}

const EXAMPLE = `understudy upgrade --self    # with the program of the version to run; again to go on`
