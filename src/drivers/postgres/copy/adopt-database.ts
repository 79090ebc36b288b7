/**
 * An existing database, possibly running, that becomes the first replica (option `adopt`). It is ended in order and
 * started again, once: the sockets, the accepted connections and the hints that a rewind needs can only be set at a
 * start. Its own postgresql.conf and the lines of its pg_hba.conf stay in force; ours come after the former and before
 * the latter.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { QuorumConfig } from '../../../core/replicated/quorum-config.ts'
import { UnderstudyError } from '../../../errors.ts'
import type { Folder } from '../files/replica-folder.ts'
import type { Replica } from '../replica.ts'
import { findPostmaster } from '../server/postmaster.ts'

/** How long its clients' last statements may take to be rolled back. */
const END_MS = 60_000

/** Data that no replica of this cluster has ever used. */
export function isForeign({ parts }: Replica): boolean {
  const { pledged, leading } = parts.record.now
  return parts.options.adopt && pledged === 0 && leading === null && parts.folder.content() === 'data'
}

export async function takeOver(replica: Replica, quorum: QuorumConfig): Promise<void> {
  const { folder, clock, record, tell } = replica.parts
  refuseUnlessSound(folder)
  const running = findPostmaster(folder, clock)
  if (running) {
    tell(`the server that runs on ${folder.data} is ended in order and started again, once`)
    replica.hold(running)
    await replica.end('fast', END_MS, 'ended once, to be taken over')
  }
  await folder.ownAll(folder.data)
  const lineage = [{ term: quorum.term, id: quorum.id, after: 0 }]
  record.change({ pledged: quorum.term, lineage, leading: quorum, following: null })
}

function refuseUnlessSound(folder: Folder): void {
  const no = (why: string) => new UnderstudyError('UND_REFUSED', `${folder.data} cannot be taken over: ${why}`)
  for (const name of ['standby.signal', 'recovery.signal'])
    if (existsSync(join(folder.data, name))) throw no(`it has a ${name}, so it is a standby; take over its primary`)
  for (const name of ['postgresql.conf', 'postgresql.auto.conf'])
    if (!existsSync(join(folder.data, name))) throw no(`there is no ${name} in it; copy the one in use to there first`)
}
