import { agentRoom } from '../rooms.ts'
import type { AddCommand } from './command.ts'

export const addAgent: AddCommand = (program, _io, exit) => {
  program
    .command('agent')
    .summary('run one node’s agent (what “up” starts for each node)')
    .description(
      'Run the agent of one node in the foreground. “understudy up” starts one for each node and looks after it.',
    )
    .requiredOption('--node <name>', 'the node whose agent this is')
    .requiredOption('--state <dir>', 'the state folder, as “up” has filled it')
    .addHelpText('after', '\nExample:\n  understudy agent --node a --state .understudy')
    .action(async ({ node, state }: { readonly node: string; readonly state: string }) => {
      const { runAgent } = await agentRoom()
      exit(await runAgent({ node, stateDir: state }))
    })
}
