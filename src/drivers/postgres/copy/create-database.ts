/**
 * The first copy, out of nothing (initdb) or out of a backup (restore-backup.ts): made beside the data folder, one rename, and then the
 * things that all copies share.
 */
import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import type { QuorumConfig } from '../../../core/replicated/quorum-config.ts'
import { UnderstudyError } from '../../../errors.ts'
import { asAccount } from '../../as-account.ts'
import { concise } from '../files/concise-conf.ts'
import { syncTree } from '../files/member-folder.ts'
import { includeOurs, replaceFile } from '../files/server-settings.ts'
import type { Member } from '../member.ts'
import { SUPERUSER } from '../role-names.ts'
import { prepareCatalog } from '../server/catalog.ts'
import { serverEnvironment } from '../server/postmaster.ts'
import { ensureSlots, promote } from '../verbs/lead.ts'
import { synchronousStandbyNames } from '../verbs/synchronous-standbys.ts'
import { isForeign, takeOver } from './adopt-database.ts'
import { forgetOrder, type RestoreOrder, restoreInto, restoreOrder } from './restore-backup.ts'

/** Everything but the mark: members that are to be cloned from it cannot acknowledge yet. */
export async function create(member: Member, rule: QuorumConfig, signal: AbortSignal): Promise<void> {
  const { record, folder, node, options } = member.parts
  folder.refuseForeign()
  const again = record.now.leading?.id === rule.id
  const order = restoreOrder(folder)
  const foreign = isForeign(member)
  if (folder.content() === 'data' && !again && !order && !foreign)
    throw new UnderstudyError('UND_REFUSED', `${folder.data} holds a database already`)
  if (rule.primary !== node) throw new UnderstudyError('UND_REFUSED', `that rule is for ${rule.primary}`)
  if (record.now.pledged > rule.term) throw new UnderstudyError('UND_REFUSED', `pledged to term ${record.now.pledged}`)
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
  if (foreign) await takeOver(member, rule)
  if (order && !foreign) await fromBackup(member, rule, order, signal)
  else await fromNothing(member, rule, again || foreign)
  await prepareCatalog(member.session, rule.id, member.parts.replicationPassword, options.bootstrap)
  await member.reloadAndSee('synchronous_standby_names', synchronousStandbyNames(rule))
  await ensureSlots(member, rule.members)
}

async function fromNothing(member: Member, rule: QuorumConfig, again: boolean): Promise<void> {
  const { record, folder } = member.parts
  if (folder.content() === 'none') await initialise(member)
  const lineage = [{ term: rule.term, id: rule.id, after: 0 }]
  if (!again) record.change({ pledged: rule.term, lineage, leading: rule, following: null })
  await member.start()
}

/** The order is kept until it leads: until then the data here is the backup's, and not to be refused as somebody's. */
async function fromBackup(member: Member, rule: QuorumConfig, order: RestoreOrder, signal: AbortSignal): Promise<void> {
  const { record, folder } = member.parts
  if (folder.content() === 'none') await restoreInto(member, order, signal)
  if (record.now.leading?.id !== rule.id) {
    record.change({ pledged: rule.term, lineage: [], leading: null, following: null })
  }
  await member.start(signal)
  if (await member.inRecovery()) await promote(member, rule, signal)
  forgetOrder(folder)
}

async function initialise(member: Member): Promise<void> {
  const { folder, options, tell } = member.parts
  const { encoding, locale, walSegmentMb } = options.bootstrap
  tell('creating the database')
  await folder.removeLeftovers()
  mkdirSync(folder.fresh, { mode: 0o700 })
  folder.own(folder.fresh)
  await initdb(member, [
    ...['--pgdata', folder.fresh, '--username', SUPERUSER, '--encoding', encoding, '--locale', locale],
    // Nobody comes in over the network before a password was set: the superuser has none.
    ...['--auth-local', 'trust', '--auth-host', 'scram-sha-256', '--data-checksums', '--no-sync'],
    `--wal-segsize=${walSegmentMb}`,
  ])
  const main = join(folder.fresh, 'postgresql.conf')
  replaceFile(folder, main, concise(readFileSync(main, 'utf8')))
  includeOurs(folder, folder.fresh)
  await syncTree(folder.fresh)
  renameSync(folder.fresh, folder.data)
}

function initdb(member: Member, args: readonly string[]): Promise<void> {
  const { binaries, folder } = member.parts
  return new Promise((resolve, reject) => {
    let said = ''
    const { file, args: words, ids } = asAccount(folder.account, binaries.initdb, args)
    const child = spawn(file, words, {
      cwd: folder.base,
      env: { ...serverEnvironment(), ...binaries.env },
      stdio: ['ignore', 'pipe', 'pipe'],
      ...ids,
    })
    const listen = (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-4_000)
    }
    child.stdout.on('data', listen)
    child.stderr.on('data', listen)
    child.once('error', reject)
    child.once('close', (code) => {
      if (code === 0) resolve()
      else reject(new UnderstudyError('UND_REFUSED', `initdb failed: ${said.trim().split('\n').slice(-3).join(' ')}`))
    })
  })
}
