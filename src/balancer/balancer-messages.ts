/**
 * What a balancer says to its agent, checked once, here. Either may be of another version for a while: a balancer outlives its
 * agent on purpose.
 */
import type { SessionTally } from '../core/replicated/session-counts.ts'
import type { RouteCounters } from '../core/routing.ts'
import { malformed, type Undecoded, unknownKind } from '../lib/not-understood.ts'
import { areFlags, areNumbers, areTexts, fieldsOf, isListOf } from '../lib/shapes.ts'
import type { FromBalancer } from './control-protocol.ts'

type Of<T extends FromBalancer['type']> = Extract<FromBalancer, { readonly type: T }>

export function decodeFromBalancer(value: unknown): FromBalancer | Undecoded {
  const { type } = fieldsOf<FromBalancer>(value)
  if (typeof type !== 'string') return malformed(type)
  if (!Object.hasOwn(CHECKS, type)) return unknownKind(type)
  return CHECKS[type as FromBalancer['type']](value) ? (value as FromBalancer) : malformed(type)
}

const CHECKS: Readonly<Record<FromBalancer['type'], (value: unknown) => boolean>> = {
  hello(value) {
    const { pid, version } = fieldsOf<Of<'hello'>>(value)
    return areNumbers(pid, version)
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
