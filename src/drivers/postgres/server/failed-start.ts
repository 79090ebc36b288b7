/**
 * What a server that fails says about its data. A replica whose server does not get healthy is cloned again after a few starts, and
 * that is worth its cost only when a clone can help: not when the machine lacks memory, disk space or a library, and not when
 * an operator or the kernel ended the server. What is not known to be of that kind counts as damage, because a replica that is
 * never cloned again stays down for good.
 */
import { UnderstudyError } from '../../../errors.ts'

/** Of a start, or of a run, that ended before the server was ever healthy. */
export interface FailedRun {
  /** What the start was rejected with; undefined when it answered first. */
  readonly error?: unknown
  /** How its process ended; '' when that is not known. */
  readonly how: string
  /** What this server wrote to its log file. */
  readonly said: readonly string[]
}

/** False when its data has nothing to do with it, as far as can be told. */
export function mayBeDamage({ error, how, said }: FailedRun): boolean {
  // Only UND_REFUSED without a cause is about a server that ran: it could not be launched at all.
  if (error !== undefined && !(isRefusal(error) && error.cause === undefined)) return false
  if (how === 'killed by SIGKILL' || how === 'ended with code 0') return false // by the kernel or an operator; in order
  const reasons = said.filter(isReason)
  return reasons.length === 0 || !reasons.every(speaksOfMachine)
}

/**
 * An answer of the server that says that files of it are missing or damaged: classes 58 (system error) and XX (internal
 * error, corrupted data). Shared memory that was removed (58P01 as well) and a library that is not installed are none
 * of its files.
 */
export function speaksOfDamage(error: unknown): boolean {
  const { code, file, message } = (error ?? {}) as Partial<Record<'code' | 'file' | 'message', unknown>>
  if (!/^(58|XX)/.test(String(code ?? ''))) return false
  return !OTHER_SOURCES.test(String(file ?? '')) && !speaksOfMachine(String(message ?? ''))
}

/** Of PostgreSQL's source, as an error names it in every language: shared memory, semaphores and libraries. */
const OTHER_SOURCES = /^(dsm|dsm_impl|dsm_registry|ipci?|sysv_shmem|sysv_sema|posix_sema|dfmgr)\.c$/

/**
 * In the language of the log file, which is English unless an adopted database says otherwise: then each failed start
 * counts.
 */
const OF_THE_MACHINE = [
  /shared memory|semaphores/,
  /out of memory|Cannot allocate memory|Resource temporarily unavailable/,
  /Too many open files|insufficient file descriptors|not enough file descriptors/,
  /No space left on device|Disk quota exceeded|Read-only file system/,
  /could not create any (TCP\/IP|Unix-domain) sockets|could not create Unix-domain socket|lock file "/,
  /could not (access file|load library) "/, // of a library; data files are “opened” and “read”
  /was terminated by signal 9\b/,
]

function speaksOfMachine(line: string): boolean {
  return OF_THE_MACHINE.some((pattern) => pattern.test(line))
}

/** Sessions and WAL receivers end with a FATAL of their own, which ends no server. */
const OF_A_SESSION =
  /the database system is|WAL stream|walreceiver|primary server|terminating connection|authentication failed|no pg_hba\.conf entry|connection slots|too many (clients|connections)|(role|database) "[^"]*" does not exist/

function isReason(line: string): boolean {
  if (/was terminated by signal 9\b/.test(line)) return true
  return /\b(FATAL|PANIC):|^\S*postgres: /.test(line) && !OF_A_SESSION.test(line)
}

function isRefusal(error: unknown): error is UnderstudyError {
  return error instanceof UnderstudyError && error.code === 'UND_REFUSED'
}
