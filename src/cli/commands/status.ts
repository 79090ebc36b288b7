import { type CommonOptions, openSession } from '../cluster-session.ts'
import { statusLines } from '../print/print-status.ts'
import { type AddCommand, clusterCommand, printJson } from './command.ts'

export const addStatus: AddCommand = (program, io, exit) => {
  clusterCommand(program, 'status', 'show nodes, services, instances and doors', EXAMPLE)
    .option('--exit-code', 'exit with 1 when a service is unhealthy or a node is not alive')
    .action(async (options: CommonOptions & { readonly exitCode?: boolean }) => {
      const status = await openSession(io, options).client.status()
      if (options.json) printJson(io, status)
      else for (const line of statusLines(io, status)) io.out(line)
      const well = status.services.every(({ healthy }) => healthy) && status.nodes.every(({ alive }) => alive)
      if (options.exitCode && !well) exit(1)
    })
}

const EXAMPLE = `understudy status
understudy status --exit-code --json | jq '.services[] | select(.healthy | not)'`
