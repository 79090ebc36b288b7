/**
 * Brings a server that runs into line with the config, as far as a reload does it, and finds out what only a restart does. Done when
 * a driver takes a server over, which is when the config may be another, and from time to time: files can be edited.
 */
import { until } from '../../../lib/until.ts'
import { MARK, markIn, namesAltered, namesIn } from '../files/server-settings.ts'
import { readIfThere, settingsInFiles } from '../files/setting-files.ts'
import type { Replica } from '../replica.ts'
import { type NextStart, outdatedServer, type ServerNow } from './outdated-server.ts'
import type { Postmaster } from './postmaster.ts'
import { afterRestart, CAPACITY_NAMES, parseCapacity } from './standby-capacity.ts'
import { placeOf } from './started-as.ts'

const ABOUT_ITSELF = `
select json_build_object(${CAPACITY_NAMES.map((name) => `'${name}', current_setting('${name}')::int`).join(', ')})::text as capacity,
  split_part(current_setting('server_version'), ' ', 1) as release,
  (select coalesce(json_agg(json_build_object('name', name, 'value', current_setting(name)) order by name), '[]')
   from pg_settings where pending_restart)::text as pending`

export class ConfigComparison {
  readonly #replica: Replica
  /** What the server said, and what it had read then. */
  #said: { readonly of: Postmaster; readonly mark: string; readonly now: ServerNow } | undefined

  constructor(replica: Replica) {
    this.#replica = replica
  }

  /** Rejects when the server does not answer; what was found before stays. */
  async look(): Promise<void> {
    const replica = this.#replica
    const { postmaster, record } = replica
    if (postmaster === undefined || !replica.runs || postmaster.isFrozen) return
    // Before its quorum row is durable a reload would turn clients away: it comes with the row.
    if (record.leading !== null && !replica.quorumDurable) return
    if (replica.filesDiffer) replica.reload()
    const now = await this.#ask(postmaster)
    if (replica.postmaster === postmaster)
      replica.outdated = outdatedServer(now, replica.started, this.#next(), record.leading !== null)
  }

  /** Once for each content of its settings file: what else could change needs no question. */
  async #ask(postmaster: Postmaster): Promise<ServerNow> {
    const { watcher, parts, port } = this.#replica
    const mark = markIn(readIfThere(parts.folder.settingsPath))
    if (this.#said?.of === postmaster && this.#said.mark === mark) return this.#said.now
    await this.#untilRead(mark)
    const row = await watcher.one(ABOUT_ITSELF)
    const pending = JSON.parse(String(row.pending)) as ServerNow['pending']
    const now = { release: String(row.release), capacity: parseCapacity(row.capacity), pending, port }
    this.#said = { of: postmaster, mark, now }
    return now
  }

  /** By a session of the server: a setting that has another value says so only there. */
  async #untilRead(mark: string): Promise<void> {
    const { watcher, parts } = this.#replica
    const patience = { clock: parts.clock, everyMs: 5, withinMs: parts.options.timing.statementMs, what: 'a reload' }
    await until(patience, async () => (await watcher.one(`select current_setting('${MARK}', true) as it`)).it === mark)
  }

  #next(): NextStart {
    const { folder, restarts, binaries, options } = this.#replica.parts
    return {
      restarts,
      release: binaries.release,
      bin: options.bin === null ? null : placeOf(binaries),
      port: options.port,
      settings: settingsInFiles(folder.data),
      ours: namesIn(readIfThere(folder.settingsPath)),
      altered: namesAltered(folder.data),
      ...afterRestart(folder.data, this.#replica.record.leading === null),
    }
  }
}
