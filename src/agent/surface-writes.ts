/** What the surfaces of the agent have in common: names that must be known, and one record written with compare-and-swap. */
import type { Refused } from '../core/apply-check.ts'
import type { NodeName, ServiceName, ServiceSpec } from '../core/model.ts'
import type { View } from '../core/view.ts'
import { UnderstudyError } from '../errors.ts'
import { nearest } from '../lib/nearest.ts'
import type { Store } from '../stores/store.ts'
import type { Agent } from './loop.ts'

export interface SurfaceWrites {
  readonly agent: Agent
  readonly store: Store
}

/** Writes one record if no other agent did since; then all agents look at once. Rejects with UND_REFUSED. */
export async function writeAgreed({ agent, store }: SurfaceWrites, key: string, revision: number, value: unknown) {
  const outcome = await store.swap([{ key, revision }], [{ key, value }])
  if (outcome === 'conflict')
    throw new UnderstudyError('UND_REFUSED', 'conflict with a concurrent change: check the status and retry')
  await agent.announce()
}

export function refuseIf(refused: Refused | undefined): void {
  if (refused) throw new UnderstudyError(refused.code, refused.why)
}

/** 0: not written yet. */
export function revisionOf(record: object | undefined): number {
  return record && 'revision' in record ? Number(record.revision) : 0
}

export function serviceNamed({ cluster: { services } }: View, name: ServiceName): ServiceSpec {
  const service = services.find((candidate) => candidate.name === name)
  if (service) return service
  throw unknown('UND_UNKNOWN_SERVICE', 'service', name, services)
}

export function nodeNamed({ cluster: { nodes } }: View, name: NodeName): void {
  if (!nodes.some((node) => node.name === name)) throw unknown('UND_UNKNOWN_NODE', 'node', name, nodes)
}

function unknown(
  code: 'UND_UNKNOWN_SERVICE' | 'UND_UNKNOWN_NODE',
  what: string,
  name: string,
  there: readonly { readonly name: string }[],
): UnderstudyError {
  const names = there.map((one) => one.name)
  const near = nearest(name, names)
  const hint = near === undefined ? '' : `; did you mean ${near}?`
  return new UnderstudyError(code, `there is no ${what} ${name}${hint}; there are ${names.join(', ')}`)
}
