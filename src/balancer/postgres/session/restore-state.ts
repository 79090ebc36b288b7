/**
 * Makes a session on its new server what it was on the old one: a row of messages, sent at once, each answered by a
 * ReadyForQuery of its own. Settings first, because statements are read by them; who the session acts as last among them,
 * because it may not be allowed to make the others. Each text is read as it was read the first time: under the client_encoding and
 * the standard_conforming_strings that it was written in; those that the session has now come last. All of it must succeed: a
 * session that lacks one of its statements is another one.
 */

import { askedAside, identifier, query, SYNC } from '../messages.ts'
import { type Again, type SessionState, sameWriting, type Writing } from './session-state.ts'

export interface Restoration {
  readonly bytes: Buffer
  /** For each ReadyForQuery to come, whether an error before it means that the session cannot be restored. */
  readonly mustSucceed: readonly boolean[]
}

const WRITING: ReadonlySet<string> = new Set(['client_encoding', 'standard_conforming_strings'])

export function restoration(state: SessionState): Restoration {
  const messages: Buffer[] = []
  let writing = state.loginWriting ?? state.writing
  const write = (next: Writing): void => {
    if (!sameWriting(writing, next)) messages.push(...switched(writing, next))
    writing = next
  }
  const add = ({ text, writing: own }: Again<string | Buffer>): void => {
    if (own) write(own)
    messages.push(typeof text === 'string' ? query(text) : Buffer.concat([text, SYNC]))
  }
  const always = (text: string): Again<string> => ({ text, writing: state.sqlWriting })
  for (const [name, setting] of state.settings) if (!WRITING.has(name)) add(setting)
  if (state.sessionUser !== undefined) add(always(`SET SESSION AUTHORIZATION ${identifier(state.sessionUser)}`))
  if (state.role !== undefined) add(always(`SET ROLE ${identifier(state.role)}`))
  for (const text of state.sqlPrepared.values()) add(always(text))
  for (const channel of state.channels.values()) add(channel)
  // The unnamed one last of all: any simple query would end it.
  for (const [name, statement] of state.prepared) if (name !== '') add(statement)
  const unnamed = state.prepared.get('')
  if (unnamed) add(unnamed)
  write(state.writing)
  return { bytes: Buffer.concat(messages), mustSucceed: messages.map(() => true) }
}

/** By the extended protocol, so that the unnamed statement stays. */
function switched(from: Writing, to: Writing): Buffer[] {
  const set = (name: string, value: string) =>
    askedAside('_understudy_door', `select pg_catalog.set_config('${name}', $1, false)`, value)
  return [
    ...(from.encoding === to.encoding ? [] : [set('client_encoding', to.encoding)]),
    ...(from.conforming === to.conforming ? [] : [set('standard_conforming_strings', to.conforming)]),
  ]
}
