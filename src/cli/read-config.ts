/** A config file for the cluster of a state folder: compiled, with its text for the history. */
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import type { ConfigSource } from '../core/config-record.ts'
import type { ClusterSpec } from '../core/model.ts'
import type { StateFolder } from '../local/cluster-folder.ts'
import { configRoom } from './lazy-rooms.ts'

export interface ReadConfig {
  readonly spec: ClusterSpec
  /** Absolute. */
  readonly file: string
  readonly source: ConfigSource
  /** Empty when there are none. */
  readonly warnings: string
}

/** Nodes that the config gives no address keep the one that they have there. Rejects as `loadConfig` and `compileCluster`. */
export async function readConfig(path: string | undefined, state: StateFolder): Promise<ReadConfig> {
  const config = await configRoom()
  const { file, raw } = await config.loadConfig(path)
  const addresses = addressesIn(state)
  const { spec, warnings } = config.compileCluster(raw, { file, ...(addresses && { addresses }) })
  const source = { name: basename(file), text: readFileSync(file, 'utf8') }
  return { spec, file, source, warnings: config.printWarnings(warnings) }
}

function addressesIn(state: StateFolder): Readonly<Record<string, string>> | undefined {
  try {
    const { config } = state.readCluster() ?? {}
    return (
      config &&
      Object.fromEntries([...config.leaving, ...config.spec.nodes].map(({ name, address }) => [name, address]))
    )
  } catch {
    return undefined // a file that cannot be read is told by those who need it
  }
}
