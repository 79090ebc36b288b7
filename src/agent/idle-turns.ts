/**
 * Nothing is wrong and nothing is under way here. Whatever changes that is an event, and events make turns of their own;
 * so a calm agent need not think with every heartbeat, and an idle cluster costs little.
 */
import type { Decision } from '../core/decide.ts'
import type { InstanceReport } from '../core/model.ts'
import type { View } from '../core/view.ts'

/** As long as it is calm, heartbeats make a turn only this often. */
export const CALM_TURN_EVERY_MS = 500

export function isIdle({ peers, local }: View, { problems }: Decision): boolean {
  if (problems.length > 0 || Object.keys(local.busy).length > 0) return false
  return Object.values(peers).every(({ state }) => state === 'alive') && Object.values(local.instances).every(isSteady)
}

function isSteady({ state, health }: InstanceReport): boolean {
  return state === 'stopped' || (state === 'running' && health === 'healthy')
}
