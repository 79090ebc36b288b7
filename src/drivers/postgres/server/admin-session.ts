/**
 * Our own connections. The administrative one stays open, so that recruiting does not begin with a handshake, and is
 * opened again when it broke. Every statement has a deadline on our side: a frozen server accepts a connection and
 * answers nothing.
 */
import pg from 'pg'
import { UnderstudyError } from '../../../errors.ts'
import type { Clock } from '../../../lib/clock.ts'
import type { PrimaryAddress } from '../../replica-driver.ts'
import { DATABASE, REPLICATION_ROLE, SUPERUSER } from '../role-names.ts'

export type Row = Readonly<Record<string, unknown>>

/** The port is a part of the socket's name. */
export interface OwnSocket {
  readonly socketDir: string
  readonly port: number
}

export interface SessionParts {
  readonly clock: Clock
  /** Asked for each connection: the next server may have another port. */
  readonly socket: () => OwnSocket
  readonly statementMs: number
  /** A connection that is open already, for when the server is full. */
  readonly spare?: () => pg.Client | undefined
}

export class Session {
  readonly #parts: SessionParts
  #client: Promise<pg.Client> | undefined
  /** One statement after the other: the end of the last one that was asked for. */
  #last: Promise<unknown> = Promise.resolve()
  /** Called when the open connection ends: often the first sign that the server died. */
  onCut: () => void = () => {}

  constructor(parts: SessionParts) {
    this.#parts = parts
  }

  /** One statement; UND_TIMED_OUT after the deadline, and then the connection is given up. */
  query(text: string, values: readonly unknown[] = [], withinMs = this.#parts.statementMs): Promise<Row[]> {
    const answer = this.#last.then(() => this.#query(text, values, withinMs))
    this.#last = answer.catch(() => {}) // the error reaches the caller
    return answer
  }

  async #query(text: string, values: readonly unknown[], withinMs: number): Promise<Row[]> {
    const opening = this.#open(withinMs)
    const client = await opening
    try {
      const result = await within(this.#parts.clock, withinMs, 'a statement', client.query(text, [...values]))
      return result.rows as Row[]
    } catch (error) {
      if (!isServerError(error)) this.#giveUp(opening)
      throw error
    }
  }

  /** The only row; for statements that always have one. */
  async one(text: string, values: readonly unknown[] = [], withinMs?: number): Promise<Row> {
    const [row] = await this.query(text, values, withinMs)
    if (!row) throw new UnderstudyError('UND_REFUSED', `no answer to ${text.slice(0, 60)}`)
    return row
  }

  close(): void {
    if (this.#client) this.#giveUp(this.#client)
  }

  #open(withinMs: number): Promise<pg.Client> {
    this.#client ??= this.#connect(withinMs)
    return this.#client
  }

  #connect(withinMs: number): Promise<pg.Client> {
    const client = localClient(this.#parts.socket())
    const opening: Promise<pg.Client> = within(this.#parts.clock, withinMs, 'a connection', client.connect()).then(
      () => client,
      (error: unknown) => {
        destroy(client)
        const spare = isFull(error) ? this.#parts.spare?.() : undefined
        if (spare) {
          this.#hearEnd(spare, opening)
          return spare
        }
        if (this.#client === opening) this.#client = undefined
        throw error
      },
    )
    client.on('error', () => {}) // said once more by `end`, and by whatever statement was under way
    opening.then(
      (open) => open === client && this.#hearEnd(client, opening),
      () => {}, // never opened: the error reaches the caller
    )
    return opening
  }

  #hearEnd(client: pg.Client, opening: Promise<pg.Client>): void {
    client.on('end', () => {
      if (this.#client !== opening) return
      this.#client = undefined
      this.onCut()
    })
  }

  #giveUp(opening: Promise<pg.Client>): void {
    if (this.#client === opening) this.#client = undefined
    opening.then(destroy, () => {}) // it never opened: there is nothing to close
  }
}

/**
 * The server's own functions and operators only: before PostgreSQL 15 every user may create some in `public`, and one
 * that fits a call better would be run as us (CVE-2018-1058). As an option of the connection it is in force from its
 * first statement on, whatever was set for the role or the database.
 */
export const OWN_NAMES_ONLY = '-c search_path=pg_catalog'

/** A fresh connection over the server's own socket, not yet opened. */
export function localClient({ socketDir, port }: OwnSocket, database = DATABASE): pg.Client {
  const client = new pg.Client({
    host: socketDir,
    port,
    user: SUPERUSER,
    database,
    application_name: 'understudy',
    // Ours write also while clients only read (refuse-writes.ts): a quorum row and a pulse are what ends that.
    options: `${OWN_NAMES_ONLY} -c default_transaction_read_only=off`,
  })
  client.on('error', () => {}) // the error reaches the caller there
  return client
}

/** Another replica, as the replication role: speaks SQL and the replication commands. */
export function remoteClient(to: PrimaryAddress, password: string): pg.Client {
  const client = new pg.Client({
    host: to.host,
    port: to.port,
    user: REPLICATION_ROLE,
    password,
    database: DATABASE,
    application_name: 'understudy',
    options: OWN_NAMES_ONLY,
    connectionTimeoutMillis: 3_000,
    // A node that vanished says nothing, not even that it is gone: Node asks ten times, a second apart, then the connection breaks.
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    ...({ replication: 'database' } as object),
  })
  client.on('error', () => {}) // the error reaches the caller there
  return client
}

/** Ends a connection without a word: a polite goodbye waits for servers that do not answer. */
export function destroy(client: pg.Client): void {
  ;(client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy()
}

/** Did the server itself answer with an error? Then the connection is still good. */
export function isServerError(error: unknown): error is pg.DatabaseError {
  return error instanceof pg.DatabaseError && error.severity !== 'FATAL'
}

/** The value of `promise`, or UND_TIMED_OUT after `withinMs`. The promise goes on; its outcome is ignored. */
export function within<T>(clock: Clock, withinMs: number, what: string, promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(withinMs, () => {
      reject(new UnderstudyError('UND_TIMED_OUT', `${what} was not answered within ${Math.round(withinMs)} ms`))
    })
    promise.then(resolve, reject).finally(cancel)
  })
}

/**
 * What another server answers, or does not: its refusals, a connection that breaks and one that does not come about, which have no code of
 * their own in the library, are no bugs. Rejects with UND_REFUSED or UND_TIMED_OUT, and names the server.
 */
export async function copiedFrom<T>(node: string, answer: Promise<T>): Promise<T> {
  try {
    return await answer
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    if (cause instanceof UnderstudyError && cause.code !== 'UND_TIMED_OUT') throw cause
    const why = message || code // of a connection to several addresses, Node has no message
    throw new UnderstudyError('UND_REFUSED', `the server on ${node} cannot be copied from: ${why}`, { cause })
  }
}

/** The SQLSTATE of a server whose connections are all taken: it answers, so it lives. */
const TOO_MANY_CONNECTIONS = '53300'

export function isFull(error: unknown): boolean {
  return codeOf(error) === TOO_MANY_CONNECTIONS
}

/** It is there already. */
const DUPLICATE_OBJECT = '42710'
/** It is gone already. */
const UNDEFINED_OBJECT = '42704'
const OBJECT_IN_USE = '55006'

/**
 * Makes or drops a replication slot. The primary and the standby that a slot is for both see to it, at the same time: that the other one was
 * quicker, or that the slot has come into use, is no failure.
 */
export async function unlessOvertaken(slotChange: Promise<unknown>): Promise<void> {
  try {
    await slotChange
  } catch (error) {
    if (![DUPLICATE_OBJECT, UNDEFINED_OBJECT, OBJECT_IN_USE].includes(codeOf(error))) throw error
  }
}

function codeOf(error: unknown): string {
  return String((error as { code?: unknown } | null)?.code ?? '')
}
