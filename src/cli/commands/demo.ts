import { fileURLToPath } from 'node:url'
import { demoRoom } from '../lazy-rooms.ts'
import { version } from '../version.ts'
import type { AddCommand } from './command.ts'

const EXAMPLE = fileURLToPath(new URL('../../../examples/shop', import.meta.url))

export const addDemo: AddCommand = (program, io, exit) => {
  program
    .command('demo')
    .summary('watch a small shop and its database survive: kills, freezes, a lost node, switchovers')
    .description(
      'Run the example shop with its database on three nodes of this machine under a steady load, and do nine things to ' +
        'it. Nothing is left behind. Exit code 1 when a page failed through a living node’s balancer, when an order that was ' +
        'acknowledged is not in the database, or when two workers ever ran at once.',
    )
    .addHelpText('after', '\nExample:\n  understudy demo')
    .action(async () => {
      const { runDemo, Show } = await demoRoom()
      exit(await runDemo({ example: EXAMPLE, show: new Show((text) => io.out(text), io.paint), version: version() }))
    })
}
