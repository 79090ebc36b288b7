import { type CommonOptions, mustKnowNode, openSession } from '../cluster-session.ts'
import { type AddCommand, clusterCommand, printJson } from './command.ts'

export const addDrain: AddCommand = (program, io) => {
  clusterCommand(program, 'drain', 'move everything off a node, before it is worked on', EXAMPLE)
    .argument('<node>', 'its name')
    .action(async (node: string, options: CommonOptions) => {
      const session = openSession(io, options)
      mustKnowNode(session, node)
      const accepted = await session.client.drain(node)
      if (options.json) printJson(io, accepted)
      else
        io.out(
          `Accepted: ${accepted.what}. “understudy status” shows when it is empty, “understudy undrain ${node}” ends it.`,
        )
    })
}

export const addUndrain: AddCommand = (program, io) => {
  clusterCommand(program, 'undrain', 'let a drained node work again', 'understudy undrain b')
    .argument('<node>', 'its name')
    .action(async (node: string, options: CommonOptions) => {
      const session = openSession(io, options)
      mustKnowNode(session, node)
      const accepted = await session.client.undrain(node)
      if (options.json) printJson(io, accepted)
      else io.out(`Accepted: ${accepted.what}.`)
    })
}

const EXAMPLE = `understudy drain b
understudy status          # nothing of b is left? then work on it
understudy undrain b`
