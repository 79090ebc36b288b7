/**
 * What lies where on one node, and which account owns it.
 *
 *     <base>/replica.json   what this replica has pledged and which primary it follows (durable-record.ts): the agent's file
 *     <base>/data/         PostgreSQL's own folder; appears by one rename when it is complete
 *     <base>/data.understudy-new/   an unfinished clone or first database: worthless after a crash, and removed
 *     <base>/data.understudy-old/   what a clone replaced, until it is removed
 *     <base>/data.understudy-set-aside/   a former primary's damaged data: it may hold writes that no other replica has (repair-folder.ts)
 *     <base>/restore.json   the backup that the first replica is to be made of (restore-backup.ts)
 *     <base>/slots.json    which logical slots of users may be used after a promotion (logical-slots.ts)
 *     <base>/tablespaces.json   outside the data folder, what of this replica lies there (tablespaces.ts)
 *     <base>/key           the password that a receiver needs. No key, no stream: the heart of recruiting (recruit-server.ts)
 *     <base>/discarded/    what diverged replicas had to give up, youngest last
 *
 * Beside <base>, which is instances/<service>: instances/<service>.json identifies the postmaster; logs/<service>.log
 * is its output.
 *
 * The agent may be root while the server never is: whatever the server reads is given to its account.
 */

import { execFile } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statfsSync,
  statSync,
} from 'node:fs'
import { rm } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { promisify } from 'node:util'
import { UnderstudyError } from '../../../errors.ts'
import { realFolder, standsIn } from '../../../lib/proc-folder.ts'
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
  /** A former primary's unreadable data, kept when a clone replaced it: the newest one only. */
  get setAside(): string {
    return `${this.data}.understudy-set-aside`
  }
  /** What a clone replaces, until it is removed. */
  get old(): string {
    return `${this.data}.understudy-old`
  }
  get recordPath(): string {
    return join(this.base, 'replica.json')
  }
  /** The order to make the first replica of a backup (restore-backup.ts). */
  get restorePath(): string {
    return join(this.base, 'restore.json')
  }
  /** Locations of tablespaces that are this replica's own (tablespaces.ts). */
  get tablespacesPath(): string {
    return join(this.base, 'tablespaces.json')
  }
  /** What is remembered about logical slots (logical-slots.ts). */
  get slotsPath(): string {
    return join(this.base, 'slots.json')
  }
  get keyPath(): string {
    return join(this.base, 'key')
  }
  get logPath(): string {
    return join(this.#nodeDir, 'logs', `${this.#service}.log`)
  }
  /** Identifies the postmaster, for commands that end a whole node. */
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

  /** Made, and given to the account that the server runs as. */
  prepare(): void {
    mkdirSync(this.base, { recursive: true, mode: 0o755 })
    mkdirSync(dirname(this.logPath), { recursive: true })
    mkdirSync(this.sockets, { recursive: true, mode: 0o700 })
    mkdirSync(dirname(this.data), { recursive: true, mode: 0o755 })
    this.own(this.base)
    this.own(this.sockets)
    this.openTheWay()
  }

  /**
   * Sees that the server can get to its files, and puts right what it can: asked before each start and every few seconds,
   * because a folder's mode is soon changed and a server needs the way only when it starts, which is in a failover. The state
   * folder and what leads from it to here are the agent's alone: the account's group is let through them, which is not to say
   * that it may list them. Returns what was put right. Throws UND_CONFIG_INVALID when a folder further up keeps it out.
   */
  openTheWay(): string[] {
    const top = dirname(dirname(this.#nodeDir))
    const account = this.account ?? { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 }
    const mended = openWay({ account, from: dirname(this.base), within: top })
    // A data folder that the config names is left as it is: it may be a user's, to be taken over.
    const own = [this.base, this.sockets, join(this.base, 'data')].filter((path) => existsSync(path))
    return [...mended, ...own.filter((path) => this.#makeOwn(path))]
  }

  /** A folder that the account owns and no other may write to. True when that was not so. */
  #makeOwn(path: string): boolean {
    const { mode, uid } = statSync(path)
    const isOwned = this.account === null || uid === this.account.uid
    const allowed = path === this.base ? 0o755 : path === this.data ? 0o750 : 0o700
    if (isOwned && (mode & 0o700) === 0o700 && (mode & 0o777 & ~allowed) === 0) return false
    if (!isOwned) this.own(path)
    chmodSync(path, (mode & allowed) | 0o700)
    return true
  }

  /** The folder of the server's Unix socket: no other account can enter it, which is all the proof that a session needs. */
  get sockets(): string {
    // A name as long as the longest that the server will give to a socket there.
    return dirname(socketPath(join(this.base, 'run'), '.s.PGSQL.65535.lock', this.account?.uid))
  }

  /**
   * `none`: nothing here. `data`: a PostgreSQL folder. `damaged`: it was one, and PG_VERSION cannot be read: no server may run on
   * it, and it is never written into. `foreign`: something else, which is left alone.
   */
  content(): 'none' | 'data' | 'damaged' | 'foreign' {
    if (!existsSync(this.data)) return 'none'
    if (versionIn(this.data) !== null) return 'data'
    try {
      const names = readdirSync(this.data)
      if (names.length === 0) return 'none'
      return names.includes('PG_VERSION') || names.includes('pg_wal') || names.includes('base') ? 'damaged' : 'foreign'
    } catch {
      return 'damaged' // it cannot be listed: what is in it is not known, so it is not overwritten
    }
  }

  /** The major version that made the data; null when there is none, or it cannot be read. */
  dataVersion(): number | null {
    return versionIn(this.data) ?? versionIn(join(this.data, 'base', '1'))
  }

  /** Throws when something that is not ours lies where the data should go. */
  refuseForeign(): void {
    if (this.content() !== 'foreign') return
    throw new UnderstudyError(
      'UND_REFUSED',
      `${this.data} holds something that is not a PostgreSQL folder: move it away`,
    )
  }

  /** Unfinished and replaced clones. Not all at once: they may be large, and an agent has other work. */
  async removeLeftovers(): Promise<void> {
    for (const path of [this.fresh, this.old]) await rm(path, { recursive: true, force: true })
  }

  /** Why the server that runs cannot be working on this folder any more, as a sentence; null: it is there and readable. */
  loss(pid: number | undefined): string | null {
    const content = this.content()
    if (content === 'none') return `its data folder ${this.data} is gone`
    if (content !== 'data') return `its data folder ${this.data} is damaged: PG_VERSION cannot be read`
    const stands = pid === undefined ? null : standsIn(pid)
    return stands === null || stands === realFolder(this.data) ? null : `its data folder was moved to ${stands}`
  }

  /** On the disk of the data, or that of another folder that it reaches into. */
  freeBytes(path = this.data): number {
    const { bavail, bsize } = statfsSync(path)
    return bavail * bsize
  }

  own(path: string): void {
    if (this.account) chownSync(path, this.account.uid, this.account.gid)
  }

  async ownAll(path: string): Promise<void> {
    if (this.account) await run('chown', ['-R', `${this.account.uid}:${this.account.gid}`, path])
  }
}

/** The option `data` as it is on one node. */
export function dataFolderOn(node: string, data: string | null): string | null {
  return data?.replaceAll('{node}', node) ?? null
}

/** A file that is there before the server starts, and on the disk. */
export function makeStandby(folder: Folder): void {
  if (existsSync(folder.standbySignal)) return
  const file = openSync(folder.standbySignal, 'w', 0o600)
  fsyncSync(file)
  closeSync(file)
  folder.own(folder.standbySignal)
}

/** Each database's own folder has this file, too. */
export function versionIn(folder: string): number | null {
  try {
    const version = Number(readFileSync(join(folder, 'PG_VERSION'), 'utf8').trim())
    return Number.isInteger(version) && version > 0 ? version : null
  } catch {
    return null // absent or unreadable: nothing is known of the version
  }
}

/** From the top of the state folder down to `from`, and without touching anything above `within`, which is not ours. */
function openWay({ account, from, within }: Way): string[] {
  const folders: string[] = []
  for (let folder = from; folder !== dirname(folder); folder = dirname(folder)) folders.unshift(folder)
  return folders.filter((folder) => {
    const { mode, uid, gid } = statSync(folder)
    if (mayPass(account, { mode, uid, gid })) return false
    if (relative(within, folder).startsWith('..')) throw keptOut(account, folder)
    if (uid === account.uid) chmodSync(folder, (mode & 0o7777) | 0o100)
    else if (gid === account.gid || (mode & 0o070) === 0) {
      chownSync(folder, uid, account.gid)
      chmodSync(folder, (mode & 0o777) | 0o010)
    } else throw keptOut(account, folder)
    return true
  })
}

interface Way {
  readonly account: Account
  readonly from: string
  readonly within: string
}

function mayPass({ uid, gid }: Account, folder: { readonly mode: number; readonly uid: number; readonly gid: number }) {
  if (uid === 0) return true
  if (folder.uid === uid) return (folder.mode & 0o100) !== 0 // the owner's bits alone count for the owner
  if (folder.gid === gid) return (folder.mode & 0o010) !== 0
  return (folder.mode & 0o001) !== 0
}

function keptOut({ uid }: Account, folder: string): UnderstudyError {
  const who = `the user that PostgreSQL runs as (number ${uid})`
  return new UnderstudyError('UND_CONFIG_INVALID', `${who} cannot enter ${folder}: keep the state where it can`)
}

/** Everything written under `path` until now is on the disk: one system call for the whole file system. */
export async function syncTree(path: string): Promise<void> {
  await run('sync', ['-f', path])
}
