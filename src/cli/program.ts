/** The list of commands, and what becomes of an error: a sentence, its code, and an exit code that means something. */
import { Command, CommanderError } from 'commander'
import { ERRORS, type ErrorCode, UnderstudyError } from '../errors.ts'
import { addAgent } from './commands/agent.ts'
import { addApply } from './commands/apply.ts'
import { addBackup } from './commands/backup.ts'
import { addCheck } from './commands/check.ts'
import type { AddCommand, SetExit } from './commands/command.ts'
import { addConfig } from './commands/config.ts'
import { addDemo } from './commands/demo.ts'
import { addDown } from './commands/down.ts'
import { addDrain, addUndrain } from './commands/drain.ts'
import { addEvents } from './commands/events.ts'
import { addLeftovers } from './commands/leftovers.ts'
import { addLogs } from './commands/logs.ts'
import { addPsql } from './commands/psql.ts'
import { addReceipts } from './commands/receipts.ts'
import { addResize } from './commands/resize.ts'
import { addRestart, addStart, addStop } from './commands/restart.ts'
import { addRestore } from './commands/restore.ts'
import { addSecret } from './commands/secret.ts'
import { addSim } from './commands/sim.ts'
import { addStatus } from './commands/status.ts'
import { addSwitchover } from './commands/switchover.ts'
import { addUp } from './commands/up.ts'
import { addUpgrade } from './commands/upgrade.ts'
import { addWhatIf } from './commands/whatif.ts'
import { addWhy } from './commands/why.ts'
import type { Io } from './io.ts'
import { configRoom } from './lazy-rooms.ts'
import { version } from './version.ts'

const GROUPS: Readonly<Record<string, readonly AddCommand[]>> = {
  'Run:': [addUp, addDown, addUpgrade, addCheck, addDemo],
  'Plan:': [addWhatIf, addSim],
  'Inspect:': [addStatus, addWhy, addEvents, addReceipts, addLogs, addPsql],
  'Change:': [addApply, addConfig, addResize, addSecret, addRestart, addStop, addStart],
  'Operate:': [addSwitchover, addDrain, addUndrain, addBackup, addRestore, addLeftovers],
  'Internal:': [addAgent],
}

export function buildProgram(io: Io, exit: SetExit): Command {
  const program = new Command('understudy')
    .description('Keeps services and their data running when servers die.')
    .version(version(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'explain a command')
    .helpCommand(false)
    .configureOutput({
      writeOut: (text) => io.out(text.trimEnd()),
      writeErr: (text) => io.err(text.trimEnd()),
      outputError: (text, write) => write(text.replace(/^error:/, io.paint.red('understudy:'))),
    })
    .configureHelp({ helpWidth: Math.min(io.columns, 110), subcommandTerm: (command) => usageOf(command) })
    .addHelpText('after', '\n“understudy COMMAND --help” explains a command, with an example.')
    .exitOverride()
  for (const [title, commands] of Object.entries(GROUPS)) {
    program.commandsGroup(title)
    for (const add of commands) add(program, io, exit)
  }
  for (const command of program.commands) command.exitOverride().copyInheritedSettings(program)
  return program
}

/** Commands that others have and this program has not. A near name of one that destroys is never suggested for them. */
const MISSING: Readonly<Record<string, string>> = {
  reload:
    'there is no such command. “understudy apply” takes a changed config, “understudy restart SERVICE” replaced files',
}

/** Runs one command line; resolves to the exit code. */
export async function run(args: readonly string[], io: Io): Promise<number> {
  let code = 0
  let whenFails: number | undefined
  const missing = MISSING[args[0] ?? '']
  if (missing !== undefined) {
    io.err(`${io.paint.red('understudy:')} unknown command '${args[0]}': ${missing}`)
    return ERRORS.UND_BAD_REQUEST.exit
  }
  const program = buildProgram(io, (chosen, when) => {
    if (when === 'fails') whenFails = chosen
    else code = chosen
  })
  if (args.length === 0) {
    program.outputHelp()
    return 0
  }
  try {
    await program.parseAsync([...args], { from: 'user' })
    return code
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : ERRORS.UND_BAD_REQUEST.exit
    const explained = await explain(io, error, args.includes('--json'))
    return whenFails ?? explained
  }
}

/** What to type next, where that is the same whatever happened. */
const NEXT: Partial<Record<ErrorCode, string>> = {
  UND_NOT_RUNNING: '“understudy up” starts the cluster',
  UND_CONFIG_NOT_FOUND: '“understudy check FILE” tries a config',
  UND_STORE_AWAY: '“understudy status” says whether the store is back',
}

async function explain(io: Io, error: unknown, json: boolean): Promise<number> {
  const known =
    error instanceof UnderstudyError ? error : new UnderstudyError('UND_INTERNAL', textOf(error), { cause: error })
  if (json) io.out(JSON.stringify({ error: { ...known, code: known.code, message: known.message } }, null, 2))
  else if (known.code === 'UND_CONFIG_INVALID') io.err((await configRoom()).printComplaints(known))
  else {
    const next = NEXT[known.code]
    io.err(
      `${io.paint.red('understudy:')} ${known.message}${next ? `; ${next}` : ''} ${io.paint.dim(`(${known.code})`)}`,
    )
  }
  return ERRORS[known.code].exit
}

/** A bug: the stack is needed to mend it. */
function textOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}

function usageOf(command: Command): string {
  const words = command.registeredArguments.map((argument) =>
    argument.required ? argument.name().toUpperCase() : `[${argument.name().toUpperCase()}]`,
  )
  return [command.name(), ...words].join(' ')
}
