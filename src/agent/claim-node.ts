/**
 * One agent per node. Two would each renew the same leases and start the same services; so an agent writes down who it is
 * before anything else and refuses to start while the one that is written there lives.
 */
import { join } from 'node:path'
import { UnderstudyError } from '../errors.ts'
import { readJson, writeFileAtomic } from '../lib/files.ts'
import { identify, isAlive, type ProcessIdentity } from '../lib/proc.ts'

/** Returns the file that says so. Throws UND_ALREADY_RUNNING. */
export function claimNode(nodeDir: string): string {
  const file = join(nodeDir, 'agent.json')
  const holder = readJson(file) as Partial<ProcessIdentity> | undefined
  const isOther = holder?.pid !== undefined && holder.startTime !== undefined && holder.pid !== process.pid
  if (isOther && isAlive(holder as ProcessIdentity)) {
    throw new UnderstudyError('UND_ALREADY_RUNNING', `an agent of this node runs already (pid ${holder.pid})`)
  }
  writeFileAtomic(file, JSON.stringify(identify(process.pid)))
  return file
}
