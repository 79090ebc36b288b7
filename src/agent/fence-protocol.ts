/** What an agent and its fence process say to each other: newline-delimited JSON over a Unix socket. */
import type { Speaks } from '../core/protocol.ts'
import type { ProcessIdentity } from '../lib/proc.ts'
import { areNumbers, areTexts, fieldsOf, isListOf, orAbsent } from '../lib/shapes.ts'

/** A process that is to be dead at `killAtMono` unless the agent extends that before. */
export interface Armed extends ProcessIdentity {
  readonly service: string
  /** Monotonic clock of this boot (lib/clock.ts): one reading for every process of the machine. */
  readonly killAtMono: number
}

/** `id` comes back with the acknowledgement. */
export type FenceRequest =
  | { readonly id: number; readonly arm: Armed }
  | { readonly id: number; readonly disarm: ProcessIdentity & { readonly service: string } }
  | { readonly id: number; readonly ping: true }

export type FenceReply =
  /** To a ping with `armed`, and with what the fence is; a fence before there was a protocol does not say it. */
  | ({ readonly id: number; readonly ok: true; readonly armed?: readonly Armed[] } & Partial<Speaks>)
  | { readonly id: number; readonly ok: false; readonly error: string }
  /** Said without being asked. */
  | { readonly fenced: Fenced }

export interface Fenced extends Armed {
  /** Just before the signal was sent, on the same clock. */
  readonly atMono: number
  /** `gone`: nothing was left to kill. `another`: the pid belongs to another process by now, which was left alone. */
  readonly outcome: 'killed' | 'gone' | 'another' | 'not-permitted'
}

/** Undefined for what is not a request. A fence that guesses would kill by guess. */
export function parseRequest(value: unknown): FenceRequest | undefined {
  if (!isObject(value) || !Number.isSafeInteger(value.id)) return undefined
  const id = value.id as number
  if (value.ping === true) return { id, ping: true }
  if (isArmed(value.arm)) return { id, arm: value.arm }
  if (isTarget(value.disarm)) return { id, disarm: value.disarm }
  return undefined
}

/** Undefined for what is not a reply, or one of a kind that a newer fence may give. */
export function parseReply(value: unknown): FenceReply | undefined {
  if (!isObject(value)) return undefined
  const { fenced, id, ok, armed, error, version, protocol } = value
  if (fenced !== undefined) {
    const { atMono, outcome } = fieldsOf<Fenced>(fenced)
    return isArmed(fenced) && areNumbers(atMono) && areTexts(outcome) ? { fenced: fenced as Fenced } : undefined
  }
  if (!Number.isSafeInteger(id)) return undefined
  if (ok === false) return { id: id as number, ok, error: areTexts(error) ? String(error) : 'it did not say why' }
  if (ok !== true || !orAbsent(armed, (list) => isListOf(list, isArmed))) return undefined
  const speaks = areTexts(version) && areNumbers(protocol) ? ({ version, protocol } as Speaks) : {}
  return { id: id as number, ok, ...(armed === undefined ? {} : { armed: armed as readonly Armed[] }), ...speaks }
}

export function isArmed(value: unknown): value is Armed {
  return isTarget(value) && Number.isFinite((value as Partial<Armed>).killAtMono)
}

function isTarget(value: unknown): value is ProcessIdentity & { service: string } {
  return isIdentity(value) && typeof (value as { service?: unknown }).service === 'string'
}

export function isIdentity(value: unknown): value is ProcessIdentity {
  if (!isObject(value)) return false
  const { pid, startTime } = value
  // Never 0 or 1: as a group, 0 would be our own, and −1 every process.
  return Number.isSafeInteger(pid) && (pid as number) > 1 && Number.isSafeInteger(startTime)
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
