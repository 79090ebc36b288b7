/**
 * The look before a single writer starts, where all nodes are processes of one machine (embedded store): whatever another
 * node of this machine still runs as the primary of this service is killed first.
 *
 * Its lease has ended, or this node would not lead; so it should be dead by its own guards. But guards are processes too, and can
 * all be frozen or killed. Here the successor can see for itself, so nothing has to be believed. Nothing is started while
 * the other one lives, and nothing by a node whose own term is the older one.
 */
import { join } from 'node:path'
import type { NodeName, ServiceName, Term } from '../core/model.ts'
import { type InstanceRecord, readRecord } from '../drivers/process/instance-record.ts'
import { UnderstudyError } from '../errors.ts'
import { bootId } from '../lib/boot.ts'
import type { Clock } from '../lib/clock.ts'
import { groupIsAlive, processState, signalGroup } from '../lib/proc.ts'
import { until } from '../lib/until.ts'
import { noteKill } from './own-kills.ts'

/** A killed process is gone in a few milliseconds, unless it waits for a disk. */
const GONE_WITHIN_MS = 5_000
const LOOK_EVERY_MS = 5

export interface Neighbour {
  readonly node: NodeName
  readonly nodeDir: string
}

/** What it returns resolves when no other primary of the service is left. UND_REFUSED, UND_TIMED_OUT: do not start. */
export function endFormerOn(neighbours: () => readonly Neighbour[], self: NodeName, clock: Clock) {
  return async (service: ServiceName, term: Term): Promise<void> => {
    for (const { node, nodeDir } of neighbours()) {
      const record = readIfPossible(join(nodeDir, 'instances', `${service}.json`))
      if (!record || !mayWrite(record) || !isThere(record)) continue
      if (record.term >= term)
        throw new UnderstudyError('UND_REFUSED', `${service} runs on ${node} in term ${record.term} already`)
      await end(record, service, clock)
      noteKill(nodeDir, { ...record.identity, service }, `agent of ${self}`)
    }
  }
}

/** What cannot be read cannot be killed by it: then the guards of that node have to do, as they do on several machines. */
function readIfPossible(path: string): InstanceRecord | undefined {
  try {
    return readRecord(path)
  } catch {
    return undefined // its own agent says so, and starts nothing there
  }
}

/** A standby does not write, and is promoted only by its own agent after the same look. */
function mayWrite({ phase, role, bootId: boot }: InstanceRecord): boolean {
  return phase !== 'ended' && role === 'primary' && boot === bootId()
}

async function end({ identity }: InstanceRecord, service: ServiceName, clock: Clock): Promise<void> {
  const patience = { clock, everyMs: LOOK_EVERY_MS, withinMs: GONE_WITHIN_MS, what: `the end of the former ${service}` }
  await until(patience, () => {
    signalGroup(identity.pid, 'SIGKILL')
    return !groupIsAlive(identity.pid)
  })
}

/** Any of its group; a number that was given out anew is another's. */
function isThere({ identity }: InstanceRecord): boolean {
  const present = processState(identity.pid)
  if (present !== undefined && present.startTime !== identity.startTime) return false
  return groupIsAlive(identity.pid)
}
