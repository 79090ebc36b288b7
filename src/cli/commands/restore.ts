/**
 * Makes a stopped cluster ready to begin with the data of a backup: `up` then makes the first replica of that, and the
 * others clone it. A restore makes a new cluster: where there is data, or a cluster that has used some, it is refused.
 */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import type { ClusterSpec } from '../../core/model.ts'
import { UnderstudyError } from '../../errors.ts'
import { systemClock } from '../../lib/clock.ts'
import type { StateFolder } from '../../local/cluster-folder.ts'
import { refuseIfUnknown, whatIsLeft } from '../../local/stop-cluster.ts'
import { type CommonOptions, stateFolder } from '../cluster-session.ts'
import { type Database, mustBeDatabase } from '../databases.ts'
import { backupRoom, configRoom, storeRoom } from '../lazy-rooms.ts'
import { ofWhat } from './backup.ts'
import { type AddCommand, clusterCommand, printJson } from './command.ts'

interface RestoreOptions extends CommonOptions {
  readonly from: string
  readonly config?: string
}

export const addRestore: AddCommand = (program, io) => {
  clusterCommand(program, 'restore', 'let a cluster that does not run yet begin with the data of a backup', EXAMPLE)
    .argument('<service>', 'its name in the config')
    .requiredOption('--from <folder>', 'the backup')
    .option('--config <file>', 'the config, or a folder that holds one (default: understudy.config.ts here)')
    .action(async (name: string, options: RestoreOptions) => {
      const config = await configRoom()
      const { file, raw } = await config.loadConfig(options.config)
      const { spec } = config.compileCluster(raw, { file })
      const database = mustBeDatabase({ spec }, name)
      const state = stateFolder(io, options)
      const folder = resolve(io.cwd, options.from)
      const backup = await backupRoom()
      const { record, complaints } = await backup.verifyBackup(folder)
      if (complaints.length > 0)
        throw new UnderstudyError('UND_REFUSED', `the backup is not whole: ${complaints.slice(0, 3).join('; ')}`)
      await mustBeNew(state, spec, database)
      state.create()
      const order = { from: folder, version: record.version, sums: record.sums }
      for (const node of spec.nodes) backup.giveOrder(await folderOf(state, node.name, database), order)
      if (options.json)
        return printJson(io, { service: name, from: folder, state: state.path, takenAt: record.takenAt })
      io.out(`Whole: ${ofWhat(record)}.`)
      io.out(`“understudy up” creates ${name} from it; keep ${folder} until ${name} is healthy.`)
    })
}

async function folderOf(state: StateFolder, node: string, { name, options }: Database) {
  const { Folder, dataFolderOn } = await backupRoom()
  return new Folder(state.node(node), name, dataFolderOn(node, options.data), null)
}

async function mustBeNew(state: StateFolder, spec: ClusterSpec, database: Database): Promise<void> {
  const no = (why: string) =>
    new UnderstudyError(
      'UND_REFUSED',
      `${why}: a restore overwrites nothing; name another state folder with --state DIR`,
    )
  refuseIfUnknown(state)
  if (whatIsLeft(state).length > 0) throw no(`a cluster runs from ${state.path}`)
  for (const node of spec.nodes) {
    const folder = await folderOf(state, node.name, database)
    if (folder.content() !== 'none') throw no(`there is data in ${folder.data}`)
  }
  if (existsSync(state.storeFile) && (await hasLed(state, database.name)))
    throw no(`${database.name} has had a primary in the cluster of ${state.path}`)
}

/** By the store: a node that has a replica may only be away. */
async function hasLed(state: StateFolder, name: string): Promise<boolean> {
  const { openStore, KEY } = await storeRoom()
  const store = await openStore({ kind: 'embedded', path: state.storeFile, clock: systemClock, random: Math.random })
  try {
    return (await store.read(KEY.service(name))).entries.has(KEY.service(name))
  } finally {
    await store.close()
  }
}

const EXAMPLE = 'understudy restore db --from /backups/db-monday && understudy up'
