/**
 * What lies where on one node, and who owns it.
 *
 *     <base>/member.json   what this member has promised and whom it follows (member-record.ts): the agent's, not the server's
 *     <base>/data/         PostgreSQL's own folder; appears by one rename when it is complete
 *     <base>/data.understudy-new/   a copy or a first database on its way there: worthless after a crash, and removed
 *     <base>/data.understudy-old/   what a copy took the place of, until it is removed
 *     <base>/restore.json   the backup that the first copy is to be made of (restore-backup.ts)
 *     <base>/key           the password that a receiver needs. No key, no stream: the heart of the fence (recruit-member.ts)
 *     <base>/discarded/    what diverged copies had to give up, youngest last
 *
 * Beside <base>, which is instances/<service>: instances/<service>.json says who the postmaster is; logs/<service>.log is
 * what it says.
 *
 * The agent may be root while the server never is: whatever the server reads is given to its account.
 */

import { execFile } from 'node:child_process'
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, readFileSync, statfsSync, statSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { promisify } from 'node:util'
import { UnderstudyError } from '../../../errors.ts'
import { socketPath } from '../../../lib/socket-path.ts'
import type { Account } from '../server/account.ts'

const run = promisify(execFile)

export class Folder {
  readonly base: string
  readonly data: string
  readonly account: Account | null

  readonly #nodeDir: string
  readonly #service: string

  /** `nodeDir`: the node's folder in the state folder. */
  constructor(nodeDir: string, service: string, data: string | null, account: Account | null) {
    this.#nodeDir = nodeDir
    this.#service = service
    const base = join(nodeDir, 'instances', service)
    this.base = base
    this.data = data ?? join(base, 'data')
    this.account = account
  }

  /** Beside the data, so that a rename is enough; with our name, because with the option `data` others live there, too. */
  get fresh(): string {
    return `${this.data}.understudy-new`
  }
  /** What a copy takes the place of, until it is removed. */
  get old(): string {
    return `${this.data}.understudy-old`
  }
  get recordPath(): string {
    return join(this.base, 'member.json')
  }
  /** That the first copy is to be made of a backup (restore-backup.ts). */
  get restorePath(): string {
    return join(this.base, 'restore.json')
  }
  get keyPath(): string {
    return join(this.base, 'key')
  }
  get logPath(): string {
    return join(this.#nodeDir, 'logs', `${this.#service}.log`)
  }
  /** Who the postmaster is: whoever ends a whole node at once finds it here. */
  get identityPath(): string {
    return join(this.#nodeDir, 'instances', `${this.#service}.json`)
  }
  get discarded(): string {
    return join(this.base, 'discarded')
  }
  get links(): string {
    return join(this.base, 'lib')
  }
  get settingsPath(): string {
    return join(this.data, 'understudy.conf')
  }
  get hbaPath(): string {
    return join(this.data, 'understudy.hba.conf')
  }
  get standbySignal(): string {
    return join(this.data, 'standby.signal')
  }

  /**
   * Made, and given to the account that the server runs as. The state folder and what leads from it to here are root's
   * alone: the account's group is let through them, which is not to say that it may list them.
   */
  prepare(): void {
    mkdirSync(this.base, { recursive: true, mode: 0o755 })
    mkdirSync(dirname(this.logPath), { recursive: true })
    if (this.account) letThrough(this.account, dirname(this.base), dirname(dirname(this.#nodeDir)))
    mkdirSync(this.sockets, { recursive: true, mode: 0o700 })
    mkdirSync(dirname(this.data), { recursive: true, mode: 0o755 })
    this.own(this.base)
    this.own(this.sockets)
    chmodSync(this.sockets, 0o700)
  }

  /** Where the server's Unix socket is: a folder that nobody else can enter, which is all the proof that a session needs. */
  get sockets(): string {
    // A name as long as the longest that the server will give to a socket there.
    return dirname(socketPath(join(this.base, 'run'), '.s.PGSQL.65535.lock', this.account?.uid))
  }

  /** `none`: nothing here. `data`: a PostgreSQL folder. `foreign`: something else, which is left alone. */
  content(): 'none' | 'data' | 'foreign' {
    if (!existsSync(this.data)) return 'none'
    if (existsSync(join(this.data, 'PG_VERSION'))) return 'data'
    return readdirSync(this.data).length === 0 ? 'none' : 'foreign'
  }

  /** The major version that made the data; null when there is none. */
  dataVersion(): number | null {
    if (this.content() !== 'data') return null
    return Number(readFileSync(join(this.data, 'PG_VERSION'), 'utf8').trim())
  }

  /** Throws when something that is not ours lies where the data should go. */
  refuseForeign(): void {
    if (this.content() !== 'foreign') return
    throw new UnderstudyError(
      'UND_REFUSED',
      `${this.data} holds something that is not a PostgreSQL folder: move it away`,
    )
  }

  /** Copies that nobody finished or needs any more. Not at one stroke: they may be large, and an agent has other work. */
  async removeLeftovers(): Promise<void> {
    for (const path of [this.fresh, this.old]) await rm(path, { recursive: true, force: true })
  }

  freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.data)
    return bavail * bsize
  }

  own(path: string): void {
    if (this.account) chownSync(path, this.account.uid, this.account.gid)
  }

  async ownAll(path: string): Promise<void> {
    if (this.account) await run('chown', ['-R', `${this.account.uid}:${this.account.gid}`, path])
  }
}

/** Lets the account pass through each folder from `path` up; those above `within` are not ours to change. */
function letThrough(account: Account, path: string, within: string): void {
  for (let folder = path; folder !== dirname(folder); folder = dirname(folder)) {
    const { mode, uid, gid } = statSync(folder)
    if ((mode & 0o001) !== 0 || (gid === account.gid && (mode & 0o010) !== 0)) continue
    if (uid === 0 && !relative(within, folder).startsWith('..') && (mode & 0o070) === 0) {
      chownSync(folder, uid, account.gid)
      chmodSync(folder, (mode & 0o777) | 0o010)
      continue
    }
    throw new UnderstudyError(
      'UND_CONFIG_INVALID',
      `the user that PostgreSQL runs as (number ${account.uid}) cannot enter ${folder}: keep the state where it can`,
    )
  }
}

/** Everything written under `path` until now is on the disk: one system call for the whole file system. */
export async function syncTree(path: string): Promise<void> {
  await run('sync', ['-f', path])
}
