/**
 * Which kills were our own. Whatever kills a single writer writes a line into the fence's log on the writer's node; an
 * agent that finds the writer dead looks there before it reports a foreign signal.
 */
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { readTail } from '../lib/files.ts'
import type { ProcessIdentity } from '../lib/proc.ts'
import { isIdentity, isObject } from './fence-protocol.ts'

/** Who killed it: its node's fence, the shell behind the fence, an agent of its node that had just started, another node. */
export type Killer = 'fence' | 'guard' | 'next-agent' | `agent of ${string}`

/** Far more than is written between a kill and the look for its reason. */
const TAIL_BYTES = 64 * 1024

export function noteKill(nodeDir: string, identity: ProcessIdentity & { service: string }, by: Killer): void {
  const { service, pid, startTime } = identity
  const line = { at: new Date().toISOString(), event: 'fenced', by, service, pid, startTime }
  try {
    appendFileSync(join(nodeDir, 'fence.log'), `${JSON.stringify(line)}\n`, { mode: 0o600 })
  } catch {
    // A full disk must not come between a kill and what depends on it; the end is then reported as by a foreign signal.
  }
}

/** Why exactly this process was killed by us, as a sentence; undefined when it was not. */
export function ownKill(nodeDir: string, { pid, startTime }: ProcessIdentity): string | undefined {
  const lines = readTail(join(nodeDir, 'fence.log'), TAIL_BYTES).split('\n')
  const line = lines.map(parse).findLast((one) => one?.pid === pid && one.startTime === startTime)
  return line && sentenceFor(line.by ?? 'fence')
}

export function sentenceFor(by: Killer): string {
  switch (by) {
    case 'fence':
      return 'killed by the fence of this node: its lease was about to end'
    case 'guard':
      return 'killed by the last guard of this node: its lease was about to end, and agent and fence were dead'
    case 'next-agent':
      return 'killed by the next agent of this node: its lease had ended while agent and fence were dead'
    default:
      return `killed by the ${by} before its successor started: it still ran although its lease had ended`
  }
}

function parse(line: string): (ProcessIdentity & { readonly by?: Killer }) | undefined {
  if (!line.startsWith('{"')) return undefined // Node's own complaints stand there as well
  try {
    const value: unknown = JSON.parse(line)
    const isKill = isObject(value) && value.event === 'fenced' && isIdentity(value)
    const hadEffect = isKill && ((value as { outcome?: unknown }).outcome ?? 'killed') === 'killed'
    return hadEffect ? value : undefined
  } catch {
    return undefined // the first line of the tail may be half of one
  }
}
