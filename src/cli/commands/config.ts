/** The config that holds and the last twenty: shown, compared, and returned to. */
import type { Command } from 'commander'
import type { ConfigContent, ConfigEntry } from '../../client/index.ts'
import { lineDiff } from '../../lib/line-diff.ts'
import { type ApplyOptions, applyConfig } from '../apply-config.ts'
import { author } from '../author.ts'
import { type CommonOptions, openSession } from '../cluster-session.ts'
import type { Io } from '../io.ts'
import { tableLines } from '../print/columns.ts'
import { addApplyOptions } from './apply.ts'
import { type AddCommand, clusterCommand, countOption, printJson } from './command.ts'

export const addConfig: AddCommand = (program, io, exit) => {
  const config = program
    .command('config')
    .summary('show, compare and restore the configs that were applied')
    .description('Show, compare and restore the configs that were applied. The last 20 are kept.')
    .addHelpText('after', `\nExample:\n${EXAMPLE.replaceAll(/^/gm, '  ')}`)
  const sub = (name: string, summary: string, example: string) =>
    clusterCommand(config, name, summary, example).exitOverride()
  sub('show', 'print a config as it was written', 'understudy config show 3')
    .argument('[number]', 'which (default: the one that is in force)', countOption)
    .action(async (number: number | undefined, options: CommonOptions) => {
      const found = await openSession(io, options).client.config(number)
      if (options.json) printJson(io, found)
      else for (const line of contentLines(io, found)) io.out(line)
    })
  sub('history', 'list the configs that were applied, newest first', 'understudy config history').action(
    async (options: CommonOptions) => {
      const history = await openSession(io, options).client.configHistory()
      if (options.json) printJson(io, history)
      else for (const line of historyLines(io, history)) io.out(line)
    },
  )
  sub('diff', 'compare two configs', 'understudy config diff 3 4')
    .argument('<a>', 'the number of the first', countOption)
    .argument('<b>', 'the number of the second', countOption)
    .action(async (a: number, b: number, options: CommonOptions) => {
      const { client } = openSession(io, options)
      const diff = diffOf(await client.config(a), await client.config(b))
      if (options.json) printJson(io, { from: a, to: b, diff })
      else for (const line of diff) io.out(coloredLine(io, line))
    })
  addRollback(sub('rollback', 'apply an earlier config again', 'understudy config rollback 3'), io, exit)
}

type RollbackOptions = CommonOptions & ApplyOptions & { readonly message?: string }

function addRollback(command: Command, io: Io, exit: (code: number) => void): void {
  addApplyOptions(command)
    .argument('<number>', 'which, as “understudy config history” lists them', countOption)
    .option('--message <text>', 'why, for the history')
    .action(async (to: number, options: RollbackOptions) => {
      const { client } = openSession(io, options)
      const { message = '' } = options
      const write = ({ number }: ConfigContent) => client.rollback({ to, expect: number, message, by: author() })
      exit((await applyConfig(io, { client, spec: (await client.config(to)).spec, write }, options)).code)
    })
}

function contentLines({ paint }: Io, { source, spec, ...entry }: ConfigContent): string[] {
  const head = paint.dim(`// config ${entry.number}, ${entryText(entry)}`)
  return [head, source ? source.text.trimEnd() : JSON.stringify(spec, null, 2)]
}

function entryText({ at, by, message, version }: ConfigEntry): string {
  const who = by === '' ? '' : ` by ${by}`
  return `applied ${at}${who} with Understudy ${version}${message === '' ? '' : `: ${message}`}`
}

function historyLines(io: Io, history: readonly ConfigEntry[]): string[] {
  const columns = [
    { title: 'CONFIG', align: 'right' as const },
    { title: 'APPLIED' },
    { title: 'BY' },
    { title: 'MESSAGE' },
  ]
  return tableLines(
    io,
    columns,
    history.map(({ number, at, by, message }, index) => [index === 0 ? `${number} *` : `${number}  `, at, by, message]),
  )
}

/** By the lines of the files, or of the compiled form where one of them has no file. */
function diffOf(one: ConfigContent, other: ConfigContent): string[] {
  const compiled = !one.source || !other.source
  const textOf = ({ source, spec }: ConfigContent) => (compiled ? JSON.stringify(spec, null, 2) : (source?.text ?? ''))
  const lines = lineDiff(textOf(one), textOf(other))
  const label = ({ number, source }: ConfigContent) =>
    `config ${number}${compiled ? ' (compiled)' : ` (${source?.name})`}`
  return lines.length === 0 ? [] : [`--- ${label(one)}`, `+++ ${label(other)}`, ...lines]
}

function coloredLine({ paint }: Io, line: string): string {
  if (line.startsWith('@@')) return paint.cyan(line)
  if (line.startsWith('+')) return paint.green(line)
  return line.startsWith('-') ? paint.red(line) : line
}

const EXAMPLE = `understudy config history
understudy config diff 3 4
understudy config rollback 3`
