/**
 * One agent per node. Two would each renew the same leases and start the same services; so an agent writes down who it is
 * before anything else and refuses to start while the one that is written there lives.
 */
import { join } from 'node:path'
import { UnderstudyError } from '../errors.ts'
import { writeFileAtomic } from '../lib/files.ts'
import { readIdentityFile } from '../lib/identity-file.ts'
import { identify, isAlive } from '../lib/proc.ts'

/** Returns the file that says so. Throws UND_ALREADY_RUNNING, or UND_STATE_UNREADABLE when the file does not tell. */
export function claimNode(nodeDir: string): string {
  const file = join(nodeDir, 'agent.json')
  const holder = readIdentityFile(file)
  if (holder && holder.pid !== process.pid && isAlive(holder)) {
    throw new UnderstudyError('UND_ALREADY_RUNNING', `an agent of this node runs already (pid ${holder.pid})`)
  }
  writeFileAtomic(file, JSON.stringify(identify(process.pid)))
  return file
}
