/**
 * The table of legal role changes of one instance. It says what is allowed and what it needs, not when it is wise; that
 * is what problems are for. The diagram in docs/roles.md is printed from these rows, and the agent refuses a step that no
 * row allows.
 */
import { assert } from '../lib/assert.ts'
import type { InstanceReport, Role } from './model.ts'
import type { Step } from './step.ts'

export interface RoleChange {
  readonly from: Role
  readonly to: Role
  readonly by: Step['kind']
  /** May happen only while this node holds the lead. */
  readonly needsLead: boolean
  readonly comment: string
}

export const ROLE_CHANGES: readonly RoleChange[] = [
  { from: 'none', to: 'active', by: 'start', needsLead: false, comment: 'one more instance that serves' },
  { from: 'none', to: 'standby', by: 'start', needsLead: false, comment: 'a warm understudy, told to wait' },
  {
    from: 'none',
    to: 'primary',
    by: 'start',
    needsLead: true,
    comment: 'a cold understudy takes over: it starts as the leader',
  },
  {
    from: 'standby',
    to: 'primary',
    by: 'promote',
    needsLead: true,
    comment: 'a warm understudy takes over: it is told its term',
  },
  { from: 'active', to: 'none', by: 'stop', needsLead: false, comment: 'finishes what it serves, then ends' },
  { from: 'standby', to: 'none', by: 'stop', needsLead: false, comment: 'no longer needed here' },
  {
    from: 'none',
    to: 'primary',
    by: 'create',
    needsLead: true,
    comment: 'the first replica: there was no primary yet',
  },
  {
    from: 'standby',
    to: 'primary',
    by: 'promote-replica',
    needsLead: true,
    comment: 'a recruited replica takes over, under a QuorumConfig that is on the record',
  },
  {
    from: 'primary',
    to: 'primary',
    by: 'promote-replica',
    needsLead: true,
    comment: 'is primary already, and its quorum row is written again',
  },
  { from: 'none', to: 'standby', by: 'follow', needsLead: false, comment: 'clones, rewinds, or follows the primary' },
  { from: 'standby', to: 'standby', by: 'follow', needsLead: false, comment: 'follows another primary' },
  { from: 'none', to: 'standby', by: 'recruit', needsLead: false, comment: 'pledges, and says how far it is' },
  { from: 'standby', to: 'standby', by: 'recruit', needsLead: false, comment: 'receives nothing any more' },
  { from: 'primary', to: 'standby', by: 'recruit', needsLead: false, comment: 'ends leading: a higher term was won' },
  { from: 'primary', to: 'none', by: 'demote', needsLead: false, comment: 'ends leading in order' },
  {
    from: 'primary',
    to: 'none',
    by: 'stop',
    needsLead: false,
    comment: 'ends before its lease is given up, never after',
  },
  { from: 'active', to: 'none', by: 'kill', needsLead: false, comment: 'hung, or unhealthy for too long' },
  { from: 'standby', to: 'none', by: 'kill', needsLead: false, comment: 'hung, or unhealthy for too long' },
  {
    from: 'primary',
    to: 'none',
    by: 'kill',
    needsLead: false,
    comment: 'hung, unhealthy for too long, or primary without the lease',
  },
]

const BEGINNINGS = new Set<Step['kind']>(['start', 'promote', 'create', 'promote-replica', 'follow'])

/** The row that allows this step for the instance as it is; undefined when none does. */
export function rowFor(instance: InstanceReport, step: Step): RoleChange | undefined {
  const from = instance.state === 'stopped' ? 'none' : instance.role
  switch (step.kind) {
    case 'start':
      return ROLE_CHANGES.find((row) => row.by === 'start' && row.from === from && row.to === step.role)
    case 'promote':
    case 'create':
    case 'promote-replica':
    case 'follow':
    case 'recruit':
    case 'demote':
    case 'stop':
    case 'kill':
      return ROLE_CHANGES.find((row) => row.by === step.kind && row.from === from)
    default:
      return undefined
  }
}

/** The last gate before a step that moves an instance: a row allows it, and the lead is held where one is needed. */
export function assertLegal(instance: InstanceReport, step: Step, holdsLead: boolean): void {
  if (!BEGINNINGS.has(step.kind)) return // ending something is always allowed
  const row = rowFor(instance, step)
  assert(row, `no row allows ${step.kind} of ${instance.service} as it is: ${instance.role}, ${instance.state}`)
  assert(!row.needsLead || holdsLead, `${instance.service}: ${row.from} to ${row.to} needs the lease`)
}
