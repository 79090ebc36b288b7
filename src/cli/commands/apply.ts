/** Another config for a cluster that runs: planned, confirmed, applied, and followed until every service runs as it says. */
import type { Command } from 'commander'
import { type ApplyOptions, applyConfig } from '../apply-config.ts'
import { author } from '../author.ts'
import { type CommonOptions, openSession } from '../cluster-session.ts'
import type { Io } from '../io.ts'
import { readConfig } from '../read-config.ts'
import { version } from '../version.ts'
import { type AddCommand, clusterCommand, durationOption, printJson } from './command.ts'

interface Options extends CommonOptions, ApplyOptions {
  readonly message?: string
  readonly abort?: boolean
}

export const addApply: AddCommand = (program, io, exit) => {
  const command = clusterCommand(program, 'apply', 'change a running cluster to what a config says', EXAMPLE)
    .argument('[config]', 'the config, or a folder that holds one (default: understudy.config.ts here)')
    .option(
      '--plan',
      'print what would be done and change nothing: exit code 0 nothing to do, 2 something to do, 1 an error',
    )
    .option('--message <text>', 'why, for the history')
    .option('--abort', 'go back to the config before, while a change is in progress or stopped')
  addApplyOptions(command).action(async (path: string | undefined, options: Options) => {
    if (options.plan) exit(1, 'fails')
    if (options.abort) return abort(io, options)
    const { client, state } = openSession(io, options)
    const { spec, source, warnings } = await readConfig(path, state)
    if (warnings !== '') io.err(warnings)
    const { message = '' } = options
    const outcome = await applyConfig(
      io,
      {
        client,
        spec,
        write: ({ number }) =>
          client.apply({
            spec,
            expect: number,
            version: version(),
            source,
            message,
            by: author(),
          }),
      },
      options,
    )
    exit(outcome.code)
  })
}

/** What every command takes that applies a config. */
export function addApplyOptions(command: Command): Command {
  return command
    .option('--yes', 'do not ask')
    .option('--wait', 'stay until every service runs as the config says', true)
    .option('--no-wait', 'return as soon as it is accepted')
    .option('--timeout <duration>', 'how long to wait: copying takes its time', durationOption, 1_800_000)
}

async function abort(io: Io, options: Options): Promise<void> {
  const { client } = openSession(io, options)
  const { number } = await client.config()
  const accepted = await client.abort({ expect: number, by: author() })
  if (options.json) printJson(io, accepted)
  else io.out(`Accepted: ${accepted.what}. “understudy status” shows how far it is.`)
}

const EXAMPLE = `understudy apply --plan
understudy apply --message 'two more workers'
understudy apply shop.config.ts --yes --no-wait
understudy apply --abort`
