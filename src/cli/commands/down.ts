import { stopLocal } from '../../local/end-cluster.ts'
import { type CommonOptions, stateFolder } from '../cluster-session.ts'
import { leftLine, stopLines } from '../print/print-stop.ts'
import { Screen } from '../screen.ts'
import { type AddCommand, clusterCommand, durationOption, printJson } from './command.ts'

interface DownOptions extends CommonOptions {
  readonly timeout?: number
}

export const addDown: AddCommand = (program, io, exit) => {
  clusterCommand(program, 'down', 'stop the whole cluster', 'understudy down')
    .option(
      '--timeout <duration>',
      'how long it may take in order (default: the longest grace and 5 s)',
      durationOption,
    )
    .action(async (options: DownOptions) => {
      const state = stateFolder(io, options)
      const screen = new Screen(io.tty && !options.json)
      const report = await stopLocal(state.path, {
        ...(options.timeout === undefined ? {} : { withinMs: options.timeout }),
        onLeft: (left) => screen.draw(left.length === 0 ? [] : [leftLine(io, left)]),
      })
      screen.close()
      if (options.json) printJson(io, report ?? { told: false, why: 'nothing ran', killed: [] })
      else if (!report) io.out(`Nothing ran from ${state.path}.`)
      else for (const line of stopLines(io, report)) io.out(line)
      if (report && report.killed.length > 0) exit(1)
    })
}
