/**
 * What a server was started from, kept in one file with the identity of its postmaster: enough to say later what it was not started
 * with. Names and versions alone; values are asked of the server.
 */
import { readJson, writeFileAtomic } from '../../../lib/files.ts'
import { identityIn } from '../../../lib/identity-file.ts'
import type { ProcessIdentity } from '../../../lib/proc.ts'
import type { Folder } from '../files/replica-folder.ts'
import { namesIn } from '../files/server-settings.ts'
import { readIfThere } from '../files/setting-files.ts'
import type { ReplicaParts } from '../replica-parts.ts'
import type { Binaries } from './binaries.ts'

export interface StartedAs {
  /** How often a restart had been asked for. */
  readonly restarts: number
  /** Of PostgreSQL, with the minor version: `15.18`. */
  readonly release: string
  /** The folder of its programs; `npm` for the packaged ones. */
  readonly bin: string
  readonly data: string
  /** The names of the settings that were in our file. */
  readonly settings: readonly string[]
}

/** What is started now. */
export function whatStarts({ restarts, binaries, folder }: ReplicaParts): StartedAs {
  const settings = namesIn(readIfThere(folder.settingsPath))
  return { restarts, release: binaries.release, bin: placeOf(binaries), data: folder.data, settings }
}

/** As the option `bin` names it. */
export function placeOf({ origin, dir }: Binaries): string {
  return origin === 'npm' ? 'npm' : dir
}

export function keepIdentity({ identityPath }: Folder, identity: ProcessIdentity, started?: StartedAs): void {
  writeFileAtomic(identityPath, JSON.stringify({ ...identity, ...(started && { started }) }))
}

/** Of that very process; undefined when an earlier version of Understudy started it, or an operator did. */
export function startedAs(folder: Folder, identity: ProcessIdentity): StartedAs | undefined {
  const last = lastStart(folder)
  const isIt = last?.identity.pid === identity.pid && last.identity.startTime === identity.startTime
  return isIt ? last.started : undefined
}

/** Of the last server that was started here, whether or not it runs. */
export function lastStart({ identityPath }: Pick<Folder, 'identityPath'>) {
  try {
    const read = readJson(identityPath)
    const identity = identityIn(read)
    const { started } = (read ?? {}) as { readonly started?: unknown }
    return identity && { identity, started: isStartedAs(started) ? started : undefined }
  } catch {
    return undefined // half of one after a loss of power, when nothing of it runs any more
  }
}

function isStartedAs(it: unknown): it is StartedAs {
  const { restarts, release, bin, data, settings } = (it ?? {}) as Partial<Record<keyof StartedAs, unknown>>
  const areTexts = [release, bin, data].every((one) => typeof one === 'string')
  return areTexts && Number.isSafeInteger(restarts) && Array.isArray(settings)
}
