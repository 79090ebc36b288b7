/**
 * Reads a routing table from JSON that came over a socket or from a disk. It is checked once, here: behind this line a
 * table is what its type says, frozen. A table that is not whole is not used at all; the last good one stays.
 */
import type { Route, RoutingTable, Target } from '../core/routing-table.ts'
import { deepFreeze } from '../lib/deep-freeze.ts'
import { isHeaderName, isHeaderValue } from '../lib/http-question.ts'

/** The table, or a sentence that says what is wrong with it. */
export function readTable(value: unknown): RoutingTable | string {
  if (!isObject(value) || !isCount(value.version) || typeof value.node !== 'string') return 'not a routing table'
  if (!Array.isArray(value.routes)) return 'a routing table without routes'
  for (const route of value.routes) {
    const complaint = complaintAboutRoute(route)
    if (complaint !== undefined) return complaint
  }
  return deepFreeze(value as unknown as RoutingTable)
}

function complaintAboutRoute(route: unknown): string | undefined {
  if (!isObject(route) || typeof route.service !== 'string') return 'a route without a service'
  const of = (what: string) => `the route of ${route.service} has no proper ${what}`
  const shape = route as Partial<Record<keyof Route, unknown>>
  if (!['http', 'tcp', 'postgres'].includes(String(shape.protocol))) return of('protocol')
  if (!['serving', 'primary', 'standby'].includes(String(shape.purpose))) return of('purpose')
  if (typeof shape.host !== 'string' || !isPort(shape.port)) return of('host and port')
  if (!isCount(shape.holdMs)) return of('holdMs')
  if (!isProbe(shape.probe)) return of('probe')
  if (shape.limits !== undefined && !isLimits(shape.limits)) return of('limits')
  if (!Array.isArray(shape.targets)) return of('targets')
  if (!Array.isArray(shape.peers) || !shape.peers.every((peer) => typeof peer === 'string')) return of('peers')
  if (shape.readOnly !== null && typeof shape.readOnly !== 'string') return of('readOnly')
  return shape.targets.every(isTarget) ? undefined : of('target')
}

function isLimits(limits: unknown): boolean {
  return isObject(limits) && Object.values(limits).every((limit) => limit === null || isCount(limit))
}

function isProbe(probe: unknown): boolean {
  if (!isObject(probe) || !isCount(probe.everyMs) || !isCount(probe.timeoutMs)) return false
  const { path, status = [], headers = {}, https = {} } = probe
  // Path and headers are written into a request as they are, so they must not be able to end a line of it.
  if (path !== null && !(typeof path === 'string' && /^\/[\x21-\x7e]*$/.test(path))) return false
  if (!Array.isArray(status) || !status.every((range) => Array.isArray(range) && range.every(isCount))) return false
  if (!isObject(headers) || !Object.entries(headers).every(([name, value]) => isHeader(name, value))) return false
  return isObject(https) && Object.values(https).every((term) => typeof term === 'string')
}

function isHeader(name: string, value: unknown): boolean {
  return isHeaderName(name) && typeof value === 'string' && isHeaderValue(value)
}

function isTarget(target: unknown): boolean {
  if (!isObject(target)) return false
  const shape = target as Partial<Record<keyof Target, unknown>>
  return (
    typeof shape.id === 'string' &&
    typeof shape.node === 'string' &&
    typeof shape.host === 'string' &&
    isPort(shape.port) &&
    ['serving', 'draining', 'dead'].includes(String(shape.state)) &&
    isCount(shape.term) &&
    (shape.leaves === undefined || shape.leaves === true) &&
    (shape.holds === undefined || isCount(shape.holds)) &&
    (shape.next === undefined || shape.next === true)
  )
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0
}

function isPort(value: unknown): value is number {
  return isCount(value) && Number.isInteger(value) && value <= 65_535
}
