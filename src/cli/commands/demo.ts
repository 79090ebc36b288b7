import { fileURLToPath } from 'node:url'
import { demoRoom } from '../rooms.ts'
import { version } from '../version.ts'
import type { AddCommand } from './command.ts'

const EXAMPLE = fileURLToPath(new URL('../../../examples/shop', import.meta.url))

export const addDemo: AddCommand = (program, io, exit) => {
  program
    .command('demo')
    .summary('watch a small shop survive: kills, a freeze, a lost node, a switchover')
    .description(
      'Run the example shop on three nodes of this machine under a steady load, and do six things to it. Nothing is left ' +
        'behind. Exit code 1 when a request that may be repeated failed through a living node’s door, or when two workers ' +
        'ever ran at once.',
    )
    .addHelpText('after', '\nExample:\n  understudy demo')
    .action(async () => {
      const { runDemo, Show } = await demoRoom()
      exit(await runDemo({ example: EXAMPLE, show: new Show((text) => io.out(text), io.paint), version: version() }))
    })
}
