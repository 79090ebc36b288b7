/**
 * The one place where programs are started as another user: with all of that user's groups, as a login does it. Node's own `uid`
 * and `gid` drop every supplementary group: a server could not read a key that belongs to the group `ssl-cert`, and `pg_rewind` no
 * certificate of its own. util-linux's `setpriv` sets them and becomes the program by exec, under the same pid and with the same start time.
 */
import {
  type ChildProcess,
  type ExecFileOptions,
  execFile,
  execFileSync,
  type SpawnOptions,
  spawn,
} from 'node:child_process'
import { existsSync } from 'node:fs'
import { promisify } from 'node:util'

export interface Account {
  readonly uid: number
  readonly gid: number
}

/** As `spawn`, as `account`; null: as this process. */
export function spawnAs(
  account: Account | null,
  program: string,
  words: readonly string[],
  options: SpawnOptions,
): ChildProcess {
  const { file, args, ids } = asAccount(account, program, words)
  return spawn(file, args, { ...options, ...ids })
}

/** As `execFile`, as `account`; null: as this process. Rejects as that does. */
export function execAs(
  account: Account | null,
  program: string,
  words: readonly string[],
  options: ExecFileOptions,
): Promise<{ readonly stdout: string; readonly stderr: string }> {
  const { file, args, ids } = asAccount(account, program, words)
  return promisify(execFile)(file, args, { ...options, encoding: 'utf8', ...ids })
}

export interface AsAccount {
  readonly file: string
  readonly args: readonly string[]
  /** Empty where `setpriv` does the work, and where the user stays the same. */
  readonly ids: { readonly uid?: number; readonly gid?: number }
}

/** Without `setpriv` the supplementary groups are dropped. */
export function asAccount(
  account: Account | null,
  file: string,
  args: readonly string[],
  setpriv: string | undefined = findSetpriv(),
): AsAccount {
  if (account === null) return { file, args, ids: {} }
  const { uid, gid } = account
  if (setpriv === undefined) return { file, args, ids: { uid, gid } }
  return {
    file: setpriv,
    args: ['--reuid', String(uid), '--regid', String(gid), '--init-groups', '--', file, ...args],
    ids: {},
  }
}

const PLACES = ['/usr/bin/setpriv', '/bin/setpriv', '/usr/sbin/setpriv']
let found: { readonly path: string | undefined } | undefined

/** Looked for once. That of BusyBox sets no groups. */
function findSetpriv(): string | undefined {
  found ??= { path: PLACES.find((path) => existsSync(path) && setsGroups(path)) }
  return found.path
}

function setsGroups(path: string): boolean {
  try {
    return execFileSync(path, ['--help'], { encoding: 'utf8', timeout: 2_000 }).includes('--init-groups')
  } catch {
    return false // as if it were not there
  }
}
