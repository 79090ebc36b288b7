/** Roles that a primary keeps right in its database: looked at whenever a quorum row has become durable, and tried some times. */
import type pg from 'pg'
import { sleep } from '../../../lib/clock.ts'
import type { Replica } from '../replica.ts'
import { destroy, localClient, within } from './admin-session.ts'

const TRIES = 5
const BETWEEN_TRIES_MS = 1_000

/** Rows of one statement, within the deadline of every administrative one. */
export type Ask = (text: string, values?: unknown[]) => Promise<Record<string, unknown>[]>

/**
 * `work` is idempotent. Gives up, and tells so, after some tries; silently when this replica is no longer primary. Each try has a
 * connection of its own, because what is written waits for no quorum: should it be lost with this primary, the next one writes it
 * again.
 */
export async function keepRole(replica: Replica, what: string, work: (ask: Ask) => Promise<void>): Promise<void> {
  for (let tries = 1; replica.runs && replica.quorumDurable; tries += 1) {
    try {
      return await once(replica, what, work)
    } catch (error) {
      if (tries === TRIES) return replica.parts.tell(`${what} could not be brought up to date: ${String(error)}`)
      await sleep(replica.parts.clock, BETWEEN_TRIES_MS)
    }
  }
}

async function once(replica: Replica, what: string, work: (ask: Ask) => Promise<void>): Promise<void> {
  const { clock, options } = replica.parts
  const client: pg.Client = localClient(replica.socket)
  const patient = <T>(one: Promise<T>) => within(clock, options.timing.statementMs, what, one)
  try {
    await patient(client.connect())
    await work(async (text, values = []) => (await patient(client.query(text, values))).rows)
  } finally {
    destroy(client)
  }
}
