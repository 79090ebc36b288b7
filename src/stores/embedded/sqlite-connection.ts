/**
 * The only file that talks to SQLite. Every look at the file is one transaction, synchronous from begin to end: no lock
 * is ever held while other code of this process runs. Either it takes place at once or it throws Busy.
 *
 * Traps of the library and of SQLite that this file is built around:
 * - A prepared statement that finds the lock held stays half open. The next read of the connection then keeps its lock
 *   after it ends, and every writer of the machine is shut out. So locks are only ever taken by `exec`, which leaves
 *   nothing behind; prepared statements run under a lock that is there already.
 * - A statement that was used by `all()` answers the next `get()` with the old row. So only `all()` is used for rows.
 * - `run()` on a SELECT keeps the read lock. So it is used for changes only.
 * - WAL mode is out of question: the bundled SQLite 3.45 can corrupt a WAL file that several processes share.
 * - Closing ANY descriptor of a file drops all of a process's POSIX locks on it. Code that opens the file by other
 *   means (file-check.ts does) must do so while no transaction is open, which the first paragraph grants.
 */
import { statSync } from 'node:fs'
import Database from 'libsql'
import { damaged, replaced, translate } from './sqlite-errors.ts'

/** Wants its transaction undone although nothing went wrong. */
export interface Outcome<T> {
  readonly answer: T
  readonly keep: boolean
}

export type Row = readonly unknown[]

/** What of the library's statements is used here. */
interface Statement {
  raw(): unknown
  all(...parameters: readonly unknown[]): unknown[]
  run(...parameters: readonly unknown[]): { readonly changes: number }
}

export class Connection {
  readonly path: string
  readonly #db: InstanceType<typeof Database>
  readonly #statements = new Map<string, Statement>()
  readonly #file: string

  /** Opens or creates the file. Does not read it yet, so it never waits for a lock. */
  constructor(path: string) {
    this.path = path
    try {
      this.#db = new Database(path)
    } catch (cause) {
      // The library says only "14" (cannot open) here, in the text.
      throw translate(Object.assign(cause as Error, { code: 'SQLITE_CANTOPEN' }), path, 'before commit')
    }
    this.#file = this.#identity()
  }

  /** Settings live in the connection, not in the file: each process makes its own. */
  configure(): void {
    this.#attempt(() => {
      this.#db.exec('PRAGMA busy_timeout = 0')
      this.#db.exec('PRAGMA journal_mode = PERSIST; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF')
    })
    const [mode] = this.reading(() => this.rows('PRAGMA journal_mode'))
    if (mode?.[0] !== 'persist') throw damaged(this.path, `its journal mode is ${mode?.[0]}`)
  }

  /** One consistent look. The lock is held until `look` returns: nothing changes meanwhile. */
  reading<T>(look: () => T): T {
    return this.#attempt(() => {
      this.#sameFile()
      this.#db.exec('BEGIN; SELECT 1 FROM sqlite_master LIMIT 1')
      const answer = look()
      this.#db.exec('COMMIT')
      return answer
    })
  }

  /**
   * One change, alone. EXCLUSIVE and not IMMEDIATE: time decides here (leases), so no reader may see the old state
   * after this change has read the clock. It also means that a commit never finds a reader in its way.
   */
  writing<T>(change: () => Outcome<T>): T {
    const { answer, keep } = this.#attempt(() => {
      this.#sameFile()
      this.#db.exec('BEGIN EXCLUSIVE')
      const outcome = change()
      if (!outcome.keep) this.#db.exec('ROLLBACK')
      return outcome
    })
    if (keep) this.#commit()
    return answer
  }

  /**
   * The lock of a change, for what is kept beside this file: nothing is written here, so no disk is waited for and nothing
   * that watches the file is woken.
   */
  alone<T>(work: () => T): T {
    return this.writing(() => ({ answer: work(), keep: false }))
  }

  /** All rows, columns in the order of the SELECT. Only within `reading` or `writing`. */
  rows(sql: string, ...parameters: unknown[]): readonly Row[] {
    return this.#statement(sql, 'rows').all(...parameters) as Row[]
  }

  /** Runs a change and returns how many rows it touched. Only within `writing`. */
  run(sql: string, ...parameters: unknown[]): number {
    return this.#statement(sql, 'run').run(...parameters).changes
  }

  /** Runs statements that are written only once. Only within `writing`. */
  exec(sql: string): void {
    this.#db.exec(sql)
  }

  /** No lock is left; the library closes the file itself when the statements are collected as garbage. */
  close(): void {
    this.#statements.clear()
    this.#db.close()
  }

  #commit(): void {
    try {
      this.#db.exec('COMMIT')
    } catch (error) {
      this.#rollBack()
      throw translate(error, this.path, 'commit')
    }
  }

  #attempt<T>(work: () => T): T {
    try {
      return work()
    } catch (error) {
      this.#rollBack()
      throw translate(error, this.path, 'before commit')
    }
  }

  #rollBack(): void {
    if (!this.#db.inTransaction) return
    try {
      this.#db.exec('ROLLBACK')
    } catch {
      // The disk fails also at undoing: the journal stays, and the next process that opens the file undoes it from
      // there.
    }
  }

  #statement(sql: string, use: 'rows' | 'run'): Statement {
    let statement = this.#statements.get(sql)
    if (!statement) {
      statement = this.#db.prepare(sql)
      if (use === 'rows') statement.raw()
      this.#statements.set(sql, statement)
    }
    return statement
  }

  /** A file that was removed or replaced is still there for processes that have it open, and agrees with none any more. */
  #sameFile(): void {
    if (this.#identity() !== this.#file) throw replaced(this.path)
  }

  #identity(): string {
    const found = statSync(this.path, { throwIfNoEntry: false })
    if (!found) throw replaced(this.path)
    return `${found.dev}:${found.ino}`
  }
}
