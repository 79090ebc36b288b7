/** Lists what was set aside on this machine, and deletes one of it by its exact name. Needs no agent. */
import { UnderstudyError } from '../../errors.ts'
import { formatSize } from '../../lib/size.ts'
import { type Leftover, listLeftovers, removeLeftover } from '../../local/leftovers.ts'
import { type CommonOptions, stateFolder } from '../cluster-session.ts'
import type { Io } from '../io.ts'
import { tableLines } from '../print/columns.ts'
import { type AddCommand, clusterCommand, printJson } from './command.ts'

interface LeftoversOptions extends CommonOptions {
  readonly confirm?: string
}

export const addLeftovers: AddCommand = (program, io) => {
  clusterCommand(program, 'leftovers', 'list data that was set aside on this machine, or delete one of it', EXAMPLE)
    .argument('[action]', '“list”, which is the default, or “rm”')
    .argument('[name]', 'with “rm”: which one, as the list names it')
    .option('--confirm <name>', 'with “rm”: the same name once more; without it nothing is deleted')
    .action(async (action: string | undefined, name: string | undefined, options: LeftoversOptions) => {
      const state = stateFolder(io, options)
      if (action === 'rm') {
        const gone = await removeLeftover(state, confirmed(name, options.confirm))
        if (options.json) printJson(io, gone)
        else io.out(`Deleted ${gone.name} (${formatSize(gone.bytes)}): ${gone.places.join(', ')}`)
        return
      }
      if ((action !== undefined && action !== 'list') || name !== undefined || options.confirm !== undefined)
        throw new UnderstudyError('UND_BAD_REQUEST', 'say “understudy leftovers” or “understudy leftovers rm NAME”')
      const all = await listLeftovers(state)
      if (options.json) printJson(io, all)
      else if (all.length === 0) io.out(`Nothing was set aside below ${state.path}.`)
      else for (const line of leftoverLines(io, all)) io.out(line)
    })
}

function confirmed(name: string | undefined, again: string | undefined): string {
  if (name === undefined)
    throw new UnderstudyError('UND_BAD_REQUEST', 'say which one: understudy leftovers rm NAME --confirm NAME')
  if (again === name) return name
  const how = `understudy leftovers rm ${name} --confirm ${name}`
  throw new UnderstudyError('UND_BAD_REQUEST', `nothing was deleted; to delete ${name} for good: ${how}`)
}

const WHAT: Readonly<Record<Leftover['kind'], string>> = {
  removed: 'service removed from the config',
  node: 'node removed from the config',
  replaced: 'unreadable data, replaced by a clone',
  discarded: 'WAL that was never acknowledged',
}

function leftoverLines(io: Io, all: readonly Leftover[]): string[] {
  const rows = all.map(({ name, kind, at, bytes, places }) => [
    name,
    formatSize(bytes),
    at.slice(0, 16).replace('T', ' '),
    WHAT[kind],
    places.join(', '),
  ])
  const titles = [{ title: 'NAME' }, { title: 'SIZE', align: 'right' as const }, { title: 'SET ASIDE (UTC)' }]
  return tableLines(io, [...titles, { title: 'WHAT' }, { title: 'PLACE' }], rows)
}

const EXAMPLE = `understudy leftovers
understudy leftovers rm a/db/removed-20261129T014500Z --confirm a/db/removed-20261129T014500Z`
