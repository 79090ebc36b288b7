/** What the commands have in common. */
import { type Command, InvalidArgumentError, Option } from 'commander'
import { parseDuration } from '../../lib/duration.ts'
import type { Io } from '../io.ts'

/** Adds a command to the program. */
export type AddCommand = (program: Command, io: Io, exit: SetExit) => void

/** The exit code of the process; 0 unless set. `fails`: whatever error the command ends with. */
export type SetExit = (code: number, when?: 'fails') => void

/** A command that is about a cluster of this machine: takes --state and --json, and shows an example in its help. */
export function clusterCommand(program: Command, name: string, summary: string, example: string): Command {
  return jsonCommand(program, name, summary, example).addOption(
    new Option(
      '--state <dir>',
      'the state folder (default: the nearest .understudy, here or above; or $UNDERSTUDY_STATE)',
    ),
  )
}

export function jsonCommand(program: Command, name: string, summary: string, example: string): Command {
  return program
    .command(name)
    .summary(summary)
    .description(`${summary[0]?.toUpperCase()}${summary.slice(1)}.`)
    .option('--json', 'print JSON')
    .addHelpText('after', `\nExample:\n${example.replaceAll(/^/gm, '  ')}`)
}

/** `--timeout 90s`. */
export function durationOption(text: string): number {
  const ms = parseDuration(text)
  if (ms === undefined) throw new InvalidArgumentError('write a duration such as 500ms, 30s or 2m.')
  return ms
}

/** `-n 100`. */
export function countOption(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('write a whole number.')
  return Number(text)
}

export function printJson(io: Io, value: unknown): void {
  io.out(JSON.stringify(value, null, 2))
}

/** One value on one line: for what has no end. */
export function printJsonLine(io: Io, value: unknown): void {
  io.out(JSON.stringify(value))
}
