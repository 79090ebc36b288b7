/**
 * What a balancer says to its agent, checked once, here. Either may be of another version for a while: a balancer outlives its
 * agent on purpose.
 */

import type { Speaks } from '../core/protocol.ts'
import type { SessionTally } from '../core/replicated/session-counts.ts'
import type { RouteCounters } from '../core/routing-table.ts'
import { malformed, type Undecoded, unknownKind } from '../lib/not-understood.ts'
import { areFlags, areNumbers, areTexts, fieldsOf, isListOf, orAbsent } from '../lib/shapes.ts'
import type { Verdict } from './verdict.ts'

export type FromBalancer =
  /**
   * First after connecting, and after each table that was accepted. `version` is the table's; 0: there is no table yet. `program`
   * says what the balancer is; one before there was a protocol does not say it.
   */
  | { readonly type: 'hello'; readonly pid: number; readonly version: number; readonly program?: Speaks }
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
  /** What this balancer believes of a target, at each change. */
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
  /** Once per change of primary that this balancer lived through, when nothing of it is held any more. */
  | ({ readonly type: 'sessions' } & SessionTally)
  /** Where all sessions that can be moved have logged in ahead, as `service@node`; at each change. */
  | { readonly type: 'ahead'; readonly places: readonly string[] }
  /**
   * Where nothing begins and no session has anything open, as `service@node#hold`; and of those where no session needs anything
   * more. At each change.
   */
  | { readonly type: 'still'; readonly places: readonly string[]; readonly ready?: readonly string[] }
  /** The table that was sent is not used, and why. */
  | { readonly type: 'table-refused'; readonly why: string }

type Of<T extends FromBalancer['type']> = Extract<FromBalancer, { readonly type: T }>

export function decodeFromBalancer(value: unknown): FromBalancer | Undecoded {
  const { type } = fieldsOf<FromBalancer>(value)
  if (typeof type !== 'string') return malformed(type)
  if (!Object.hasOwn(CHECKS, type)) return unknownKind(type)
  return CHECKS[type as FromBalancer['type']](value) ? (value as FromBalancer) : malformed(type)
}

const CHECKS: Readonly<Record<FromBalancer['type'], (value: unknown) => boolean>> = {
  hello(value) {
    const { pid, version, program } = fieldsOf<Of<'hello'>>(value)
    return areNumbers(pid, version) && orAbsent(program, isProgram)
  },
  listening: isPlace,
  'listen-failed'(value) {
    const { code, message } = fieldsOf<Of<'listen-failed'>>(value)
    return isPlace(value) && areTexts(code, message)
  },
  verdict(value) {
    const { service, targetId, verdict, why } = fieldsOf<Of<'verdict'>>(value)
    return areTexts(service, targetId, verdict, why)
  },
  full(value) {
    const { service, targetId, isFull, of } = fieldsOf<Of<'full'>>(value)
    return areTexts(service, targetId, of) && areFlags(isFull)
  },
  counters: (value) => isListOf(fieldsOf<Of<'counters'>>(value).routes, isCounters),
  sessions(value) {
    const { service, term, held, moved, cut } = fieldsOf<SessionTally>(value)
    const areCounts = typeof cut === 'object' && cut !== null && areNumbers(...Object.values(cut))
    return areTexts(service) && areNumbers(term, held, moved) && areCounts
  },
  ahead: (value) => isListOf(fieldsOf<Of<'ahead'>>(value).places, (place) => areTexts(place)),
  still(value) {
    const { places, ready = [] } = fieldsOf<Of<'still'>>(value)
    return [places, ready].every((list) => isListOf(list, (place) => areTexts(place)))
  },
  'table-refused': (value) => areTexts(fieldsOf<Of<'table-refused'>>(value).why),
}

function isPlace(value: unknown): boolean {
  const { service, host, port } = fieldsOf<Of<'listening'>>(value)
  return areTexts(service, host) && areNumbers(port)
}

function isCounters(value: unknown): boolean {
  const { service, purpose, ...counts } = fieldsOf<RouteCounters>(value)
  return areTexts(service, purpose) && COUNTS.every((name) => areNumbers(counts[name]))
}

const COUNTS = ['requests', 'connections', 'retried', 'failed', 'held', 'open', 'streams', 'full'] as const

function isProgram(value: unknown): boolean {
  const { version, protocol } = fieldsOf<Speaks>(value)
  return areTexts(version) && areNumbers(protocol)
}
