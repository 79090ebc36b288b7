import { type CommonOptions, openSession } from '../cluster-session.ts'
import { statusExitCode, statusLines } from '../print/print-status.ts'
import { type AddCommand, clusterCommand, printJson } from './command.ts'

export const addStatus: AddCommand = (program, io, exit) => {
  clusterCommand(program, 'status', 'show nodes, services, instances and endpoints', EXAMPLE)
    .option('--exit-code', 'exit with 1 when a service is unhealthy, with 11 when something is missing')
    .action(async (options: CommonOptions & { readonly exitCode?: boolean }) => {
      const status = await openSession(io, options).client.status()
      if (options.json) printJson(io, status)
      else for (const line of statusLines(io, status)) io.out(line)
      if (options.exitCode) exit(statusExitCode(status))
    })
}

const EXAMPLE = `understudy status
understudy status --exit-code --json | jq '.services[].redundancyState'`
