/**
 * Makes a session on its new server what it was on the old one: a row of messages, sent at once, each answered by a
 * ReadyForQuery of its own. Settings first, because statements are read by them; who the session acts as last among them,
 * because it may not be allowed to make the others. What was prepared is prepared again; when that fails (what it spoke of
 * was dropped meanwhile), it fails for the client too as soon as it is used, and nobody else.
 */

import { identifier, query, SYNC } from '../messages.ts'
import type { SessionState } from './session-state.ts'

export interface Restoration {
  readonly bytes: Buffer
  /** For each ReadyForQuery to come, whether an error before it means that the session cannot be restored. */
  readonly mustSucceed: readonly boolean[]
}

export function restoration(state: SessionState): Restoration {
  const messages: Buffer[] = []
  const mustSucceed: boolean[] = []
  const add = (bytes: Buffer, must: boolean): void => {
    messages.push(bytes)
    mustSucceed.push(must)
  }
  for (const text of settingsInOrder(state.settings)) add(query(text), true)
  if (state.sessionUser !== undefined) add(query(`SET SESSION AUTHORIZATION ${identifier(state.sessionUser)}`), true)
  if (state.role !== undefined) add(query(`SET ROLE ${identifier(state.role)}`), true)
  for (const text of state.sqlPrepared.values()) add(query(text), false)
  for (const text of state.channels.values()) add(query(text), true)
  // The unnamed one last of all: any simple query would end it.
  for (const [name, bytes] of state.prepared) if (name !== '') add(Buffer.concat([bytes, SYNC]), false)
  const unnamed = state.prepared.get('')
  if (unnamed) add(Buffer.concat([unnamed, SYNC]), false)
  return { bytes: Buffer.concat(messages), mustSucceed }
}

/** The encoding before everything else: the other texts are written in it. */
function settingsInOrder(settings: ReadonlyMap<string, string>): string[] {
  const encoding = settings.get('client_encoding')
  const others = [...settings].filter(([name]) => name !== 'client_encoding').map(([, text]) => text)
  return encoding === undefined ? others : [encoding, ...others]
}
