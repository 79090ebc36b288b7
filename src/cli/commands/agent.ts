import type { ConfigRecord } from '../../core/records.ts'
import { UnderstudyError } from '../../errors.ts'
import { StateFolder } from '../../local/cluster-folder.ts'
import { agentRoom } from '../lazy-rooms.ts'
import { version } from '../version.ts'
import type { AddCommand } from './command.ts'

export const addAgent: AddCommand = (program, _io, exit) => {
  program
    .command('agent')
    .summary('run one node’s agent (what “up” starts for each node)')
    .description(
      'Run the agent of one node in the foreground. “understudy up” starts one for each node and looks after it. ' +
        'SIGTERM ends the agent alone: what it looks after runs on, and the next agent takes it over.',
    )
    .requiredOption('--node <name>', 'the node whose agent this is')
    .requiredOption('--state <dir>', 'the state folder, as “up” has filled it')
    .addHelpText('after', '\nExample:\n  understudy agent --node a --state .understudy')
    .action(async ({ node, state }: { readonly node: string; readonly state: string }) => {
      const folder = new StateFolder(state)
      const [kept, token] = [folder.readCluster(), folder.readToken()]
      if (!kept || token === undefined) {
        throw new UnderstudyError('UND_NOT_RUNNING', `${folder.path} holds no cluster: “understudy up” makes one`)
      }
      const { runAgent } = await agentRoom()
      const { config, source, run } = kept
      const places = { nodeDir: folder.node(node), storeFile: folder.storeFile, secretsKeyFile: folder.secretsKeyFile }
      const keepConfig = (record: ConfigRecord) => folder.keepConfig(record)
      exit(
        await runAgent({
          config,
          ...(source && { source }),
          run,
          version: version(),
          token,
          node,
          ...places,
          keepConfig,
        }),
      )
    })
}
