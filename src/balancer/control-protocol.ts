/**
 * How an agent and its balancer talk: lines of JSON over a Unix socket. The agent tells what the routes are; the balancer
 * tells what it saw on them. Either may be restarted at any time: the balancer serves on without an agent, and an agent that
 * connects is first told everything as it is. Nothing here is needed for a request to be answered.
 *
 * This file has the messages and the agent's end; the balancer's end is in control-server.ts.
 */
import { connect, type Socket } from 'node:net'
import type { ServiceName } from '../core/model.ts'
import type { SessionOptions, SessionTally } from '../core/replicated/session-counts.ts'
import type { RouteCounters, RoutingTable } from '../core/routing.ts'
import { handleLines, LineReader, toLine } from '../lib/json-lines.ts'
import { isUndecoded, NotUnderstood } from '../lib/not-understood.ts'
import { decodeFromBalancer } from './balancer-messages.ts'
import type { Verdict } from './verdict.ts'

/** What the door of a PostgreSQL service needs for its own login and for TLS. Kept in memory, never on the disk. */
export interface DoorSecret {
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
  | { readonly type: 'secrets'; readonly secrets: readonly DoorSecret[] }
  | { readonly type: 'table'; readonly table: RoutingTable }
  | { readonly type: 'drain-and-exit' }

export type FromBalancer =
  /** First after connecting, and after each table that was accepted. `version` 0: there is no table yet. */
  | { readonly type: 'hello'; readonly pid: number; readonly version: number }
  | { readonly type: 'listening'; readonly service: string; readonly host: string; readonly port: number }
  /** It goes on trying. `code` is the system's, such as EADDRINUSE. */
  | {
      readonly type: 'listen-failed'
      readonly service: string
      readonly host: string
      readonly port: number
      readonly code: string
      readonly message: string
    }
  /** What this door believes of a target, at each change. */
  | {
      readonly type: 'verdict'
      readonly service: string
      readonly targetId: string
      readonly verdict: Verdict
      readonly why: string
    }
  /** It has as many open requests or streams as this balancer may open there, or has room again; `of`: `4096 open requests`. */
  | {
      readonly type: 'full'
      readonly service: string
      readonly targetId: string
      readonly isFull: boolean
      readonly of: string
    }
  /** At most once a second, and only when they changed. */
  | { readonly type: 'counters'; readonly routes: readonly RouteCounters[] }
  /** Once per change of primary that this door lived through, when nothing of it is held any more. */
  | ({ readonly type: 'sessions' } & SessionTally)
  /** Where all sessions that can be moved have logged in ahead, as `service@node`; at each change. */
  | { readonly type: 'ahead'; readonly places: readonly string[] }
  /** The table that was sent is not used, and why. */
  | { readonly type: 'table-refused'; readonly why: string }

export interface BalancerLink {
  /** As `publish`. */
  confide(secrets: readonly DoorSecret[]): void
  /** Sent now, and again after each reconnection; only the newest table is kept. */
  publish(table: RoutingTable): void
  drainAndExit(): void
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
  let confided: readonly DoorSecret[] | undefined
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
    close() {
      closed = true
      clearTimeout(again)
      socket?.end()
    },
  }
}
