/**
 * The first replica, out of nothing (initdb) or out of a backup (restore-backup.ts): made beside the data folder, one
 * rename, and then what all replicas share.
 */
import { mkdirSync, readFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import type { QuorumConfig } from '../../../core/replicated/quorum-config.ts'
import { UnderstudyError } from '../../../errors.ts'
import { spawnAs } from '../../as-account.ts'
import { concise } from '../files/concise-conf.ts'
import { syncTree } from '../files/replica-folder.ts'
import { includeOurs, replaceFile } from '../files/server-settings.ts'
import type { Replica } from '../replica.ts'
import { SUPERUSER } from '../role-names.ts'
import { prepareCatalog } from '../server/catalog.ts'
import { openedBootstrap } from '../server/owner-password.ts'
import { serverEnvironment } from '../server/postmaster.ts'
import { ensureSlots, promote } from '../verbs/promote-server.ts'
import { synchronousStandbyNames } from '../verbs/synchronous-standbys.ts'
import { isForeign, takeOver } from './adopt-database.ts'
import { forgetOrder, type RestoreOrder, restoreInto, restoreOrder } from './restore-backup.ts'

/** Everything but the quorum row: standbys that are yet to be cloned from it cannot acknowledge. */
export async function create(replica: Replica, quorum: QuorumConfig, signal: AbortSignal): Promise<void> {
  const { record, folder, node } = replica.parts
  folder.refuseForeign()
  const again = record.now.leading?.id === quorum.id
  const order = restoreOrder(folder)
  const foreign = isForeign(replica)
  if (folder.content() === 'data' && !again && !order && !foreign)
    throw new UnderstudyError('UND_REFUSED', `${folder.data} holds a database already`)
  if (quorum.primary !== node) throw new UnderstudyError('UND_REFUSED', `that quorum config is for ${quorum.primary}`)
  if (record.now.pledged > quorum.term)
    throw new UnderstudyError('UND_REFUSED', `pledged to term ${record.now.pledged}`)
  if (folder.content() === 'damaged')
    throw new UnderstudyError(
      'UND_REFUSED',
      `${folder.data} holds a database that is damaged: move it away, or restore it`,
    )
  if (again && folder.content() === 'none')
    throw new UnderstudyError(
      'UND_REFUSED',
      `the database that was in ${folder.data} is gone: no empty one takes its place`,
    )
  if (foreign) await takeOver(replica, quorum)
  if (order && !foreign) await fromBackup(replica, quorum, order, signal)
  else await fromNothing(replica, quorum, again || foreign)
  await prepareCatalog(replica.session, quorum.id, replica.parts.replicationPassword, openedBootstrap(replica.parts))
  await replica.reloadAndSee('synchronous_standby_names', synchronousStandbyNames(quorum))
  await ensureSlots(replica, quorum.standbys)
}

async function fromNothing(replica: Replica, quorum: QuorumConfig, again: boolean): Promise<void> {
  const { record, folder } = replica.parts
  if (folder.content() === 'none') await initialise(replica)
  const lineage = [{ term: quorum.term, id: quorum.id, after: 0 }]
  if (!again) record.change({ pledged: quorum.term, lineage, leading: quorum, following: null })
  await replica.start()
}

/** The order is kept until it is primary: until then the data here is the backup's, and not to be refused as foreign data. */
async function fromBackup(
  replica: Replica,
  quorum: QuorumConfig,
  order: RestoreOrder,
  signal: AbortSignal,
): Promise<void> {
  const { record, folder } = replica.parts
  if (folder.content() === 'none') await restoreInto(replica, order, signal)
  if (record.now.leading?.id !== quorum.id) {
    record.change({ pledged: quorum.term, lineage: [], leading: null, following: null })
  }
  await replica.start(signal)
  if (await replica.inRecovery()) await promote(replica, quorum, signal)
  forgetOrder(folder)
}

async function initialise(replica: Replica): Promise<void> {
  const { folder, options, tell } = replica.parts
  const { encoding, locale, walSegmentMb } = options.bootstrap
  tell('creating the database')
  await folder.removeLeftovers()
  mkdirSync(folder.fresh, { mode: 0o700 })
  folder.own(folder.fresh)
  await initdb(replica, [
    ...['--pgdata', folder.fresh, '--username', SUPERUSER, '--encoding', encoding, '--locale', locale],
    // No network logins before a password was set: the superuser has none.
    ...['--auth-local', 'trust', '--auth-host', 'scram-sha-256', '--data-checksums', '--no-sync'],
    `--wal-segsize=${walSegmentMb}`,
  ])
  const main = join(folder.fresh, 'postgresql.conf')
  replaceFile(folder, main, concise(readFileSync(main, 'utf8')))
  includeOurs(folder, folder.fresh)
  await syncTree(folder.fresh)
  renameSync(folder.fresh, folder.data)
}

function initdb(replica: Replica, args: readonly string[]): Promise<void> {
  const { binaries, folder } = replica.parts
  return new Promise((resolve, reject) => {
    let said = ''
    const child = spawnAs(folder.account, binaries.initdb, args, {
      cwd: folder.base,
      env: { ...serverEnvironment(), ...binaries.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const listen = (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-4_000)
    }
    child.stdout?.on('data', listen)
    child.stderr?.on('data', listen)
    child.once('error', reject)
    child.once('close', (code) => {
      if (code === 0) resolve()
      else reject(new UnderstudyError('UND_REFUSED', `initdb failed: ${said.trim().split('\n').slice(-3).join(' ')}`))
    })
  })
}
