/**
 * How an agent and its balancer talk: lines of JSON over a Unix socket. The agent tells what the routes are; the balancer
 * tells what it saw on them. Either may be restarted at any time: the balancer serves on without an agent, and an agent that
 * connects is first told everything as it is. Nothing here is needed for a request to be answered.
 *
 * This file has the messages and the agent's end; the balancer's end is in control-server.ts.
 */
import { connect, type Socket } from 'node:net'
import type { ServiceName } from '../core/model.ts'
import type { SessionOptions } from '../core/replicated/session-counts.ts'
import type { RoutingTable } from '../core/routing-table.ts'
import { handleLines, LineReader, toLine } from '../lib/json-lines.ts'
import { isUndecoded, NotUnderstood } from '../lib/not-understood.ts'
import { decodeFromBalancer, type FromBalancer } from './balancer-messages.ts'

/** What the balancer of a PostgreSQL service needs for its own login and for TLS. Kept in memory, never on the disk. */
export interface BalancerSecret {
  readonly service: ServiceName
  /** May log in and call `understudy.verifier(name)`, and nothing else. */
  readonly user: string
  readonly password: string
  /** Where that function is. */
  readonly database: string
  /** PEM. Null: the endpoint speaks no TLS. */
  readonly tls: { readonly cert: string; readonly key: string } | null
  /** How sessions are moved of which something is not known; as the config says, or strictly. */
  readonly sessions?: SessionOptions
}

export type ToBalancer =
  /** Sent after connecting, before the table, and whenever one of them changes: all of them. */
  | { readonly type: 'secrets'; readonly secrets: readonly BalancerSecret[] }
  | { readonly type: 'table'; readonly table: RoutingTable }
  | { readonly type: 'drain-and-exit' }
  /** Start this program, a balancer of another version, and hand over to it (hand-over.ts). Nothing happens while that is under way. */
  | { readonly type: 'hand-over'; readonly program: string; readonly args: readonly string[] }

export interface BalancerLink {
  /** As `publish`. */
  confide(secrets: readonly BalancerSecret[]): void
  /** Sent now, and again after each reconnection; only the newest table is kept. */
  publish(table: RoutingTable): void
  drainAndExit(): void
  handOver(program: string, args: readonly string[]): void
  /** Ends this end only; the balancer goes on. */
  close(): void
}

export interface BalancerListener {
  onMessage(message: FromBalancer): void
  /** The connection is gone or could not be made; called once per loss, and tried again by itself. */
  onGone(): void
  /** A sentence about a message that this version does not understand; once for each kind. */
  onNotUnderstood?(why: string): void
}

const RECONNECT_MS = 100

/** The agent's end. Connects at once and for as long as it is not closed. */
export function connectBalancer(socketPath: string, listener: BalancerListener): BalancerLink {
  let socket: Socket | undefined
  let latest: RoutingTable | undefined
  let confided: readonly BalancerSecret[] | undefined
  let again: NodeJS.Timeout | undefined
  let closed = false
  let goneTold = false
  const send = (message: ToBalancer): void => {
    if (socket?.readyState === 'open') socket.write(toLine(message))
  }
  const notUnderstood = new NotUnderstood((why) => listener.onNotUnderstood?.(why))
  const hear = (value: unknown): void => {
    const message = decodeFromBalancer(value)
    if (isUndecoded(message)) notUnderstood.note('the balancer', message)
    else listener.onMessage(message)
  }
  const dial = (): void => {
    const reader = new LineReader()
    const dialled = connect(socketPath)
    socket = dialled
    dialled.on('connect', () => {
      goneTold = false
      if (confided) send({ type: 'secrets', secrets: confided })
      if (latest) send({ type: 'table', table: latest })
    })
    dialled.on('data', (chunk) => {
      // What breaks the framing is not our balancer's language: start afresh.
      if (!handleLines(reader, chunk, 'a message of the balancer', hear)) dialled.destroy()
    })
    dialled.on('error', () => {}) // absent or refused: 'close' follows, and that is all that matters
    dialled.on('close', () => {
      if (closed) return
      if (!goneTold) listener.onGone()
      goneTold = true
      again = setTimeout(dial, RECONNECT_MS)
    })
  }
  dial()
  return {
    confide(secrets) {
      confided = secrets
      send({ type: 'secrets', secrets })
    },
    publish(table) {
      latest = table
      send({ type: 'table', table })
    },
    drainAndExit: () => send({ type: 'drain-and-exit' }),
    handOver: (program, args) => send({ type: 'hand-over', program, args }),
    close() {
      closed = true
      clearTimeout(again)
      socket?.end()
    },
  }
}
