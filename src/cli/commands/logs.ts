import { UnderstudyError } from '../../errors.ts'
import { sleep, systemClock } from '../../lib/clock.ts'
import { type CommonOptions, mustKnowNode, mustKnowService, openSession } from '../cluster-session.ts'
import type { Io } from '../io.ts'
import { LogFile } from '../log-file.ts'
import { type AddCommand, clusterCommand, countOption, printJsonLine } from './command.ts'

interface LogsOptions extends CommonOptions {
  readonly follow?: boolean
  readonly node?: string
  readonly lines: number
}

const LOOK_EVERY_MS = 200

export const addLogs: AddCommand = (program, io) => {
  clusterCommand(program, 'logs', 'show what a service printed, on every node', EXAMPLE)
    .argument('<service>', 'its name')
    .option('-f, --follow', 'go on with what is printed, until Ctrl-C')
    .option('--node <name>', 'only what it printed on that node')
    .option('-n, --lines <count>', 'how many of the newest lines of each node', countOption, 50)
    .action(async (service: string, options: LogsOptions) => {
      const session = openSession(io, options)
      mustKnowService(session, service)
      if (options.node !== undefined) mustKnowNode(session, options.node)
      const nodes = options.node === undefined ? session.spec.nodes.map(({ name }) => name) : [options.node]
      const logs = nodes.map((node) => ({ node, file: new LogFile(`${session.state.node(node)}/logs/${service}.log`) }))
      if (!options.follow && logs.every(({ file }) => !file.exists)) throw nothingPrinted(service)
      await print(io, logs, options)
    })
}

async function print(io: Io, logs: readonly { node: string; file: LogFile }[], options: LogsOptions): Promise<void> {
  const width = Math.max(...logs.map(({ node }) => node.length))
  const show = (node: string, lines: readonly string[]) => {
    for (const line of lines) {
      if (options.json) printJsonLine(io, { node, line })
      else io.out(logs.length === 1 ? line : `${io.paint.cyan(node.padEnd(width))} ${io.paint.dim('|')} ${line}`)
    }
  }
  const newest = logs.map(({ node, file }) => ({ node, lines: file.last(options.lines) }))
  for (const { node, lines } of newest) show(node, lines)
  if (newest.every(({ lines }) => lines.length === 0) && options.lines > 0) io.err('Nothing was printed yet.')
  while (options.follow) {
    await sleep(systemClock, LOOK_EVERY_MS)
    for (const { node, file } of logs) show(node, file.more())
  }
}

function nothingPrinted(service: string): UnderstudyError {
  return new UnderstudyError('UND_NOT_RUNNING', `${service} has no log yet: it was never started on these nodes`)
}

const EXAMPLE = `understudy logs web -f
understudy logs mailer --node a -n 200`
