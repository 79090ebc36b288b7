/**
 * Performs the steps of services whose standbys hold the data. The order of what becomes durable is the safety of it:
 *
 *     the term and the config are on the record   before any server learns of them     (core: `record` comes first)
 *     a replica's pledge is on its disk           before its receiver is stopped       (driver)
 *     its receiver is gone                        before its position is read          (driver)
 *     enough are recruited                        before a new config is on the record (core: `elect`)
 *     the quorum row is on its quorum             before any client is admitted        (driver), and before the record says
 *                                                 that it serves and forgets older configs (core: `promote`, `config-change`)
 */

import type { ServiceName } from '../core/model.ts'
import { type QuorumConfig, standbysText } from '../core/replicated/quorum-config.ts'
import { newestConfig, replicatedRecord } from '../core/replicated/replica-facts.ts'
import { assertLegal } from '../core/roles.ts'
import type { Step } from '../core/step.ts'
import { instanceOn, localInstance, type View } from '../core/view.ts'
import type { PrimaryAddress, ReplicaDriver } from '../drivers/replica-driver.ts'
import { UnderstudyError } from '../errors.ts'
import { assertNever } from '../lib/assert.ts'

export type CopyStep = Extract<
  Step,
  { kind: 'create' | 'recruit' | 'promote-replica' | 'follow' | 'change-quorum' | 'demote' }
>

export async function performOnReplica(step: CopyStep, view: View, driver: ReplicaDriver): Promise<string> {
  const { service } = step
  assertLegal(localInstance(view, service), step, isQuorumPrimary(view, service))
  switch (step.kind) {
    case 'create':
      await driver.create(step.quorum)
      return `${view.self} created the database ${service}`
    case 'recruit':
      await driver.recruit(step.term)
      return `${view.self} recruited for term ${step.term} of ${service}`
    case 'promote-replica':
      await driver.promoteReplica(step.quorum)
      return `${service} on ${view.self} was promoted in term ${step.quorum.term}`
    case 'follow':
      await driver.follow(step.quorum, addressOf(view, service, step.quorum))
      return `${service} on ${view.self} follows ${step.quorum.primary} in term ${step.quorum.term}`
    case 'change-quorum':
      await driver.changeQuorum(step.quorum)
      return `synchronous standbys of ${service}: ${standbysText(step.quorum)}`
    case 'demote':
      await driver.demote(step.term)
      return `${view.self} is no longer primary of ${service}, for term ${step.term}`
    default:
      return assertNever(step)
  }
}

/** May this node be primary, by the newest quorum config on the record? */
export function isQuorumPrimary(view: View, name: ServiceName): boolean {
  const service = view.cluster.services.find((one) => one.name === name)
  const record = service?.traits.replicates ? replicatedRecord(view, service) : undefined
  return record !== undefined && newestConfig(record).primary === view.self && newestConfig(record).term === record.term
}

function addressOf(view: View, service: ServiceName, { primary }: QuorumConfig): PrimaryAddress {
  const node = view.cluster.nodes.find(({ name }) => name === primary)
  const port = instanceOn(view, primary, service)?.port
  if (!node || port === undefined)
    throw new UnderstudyError('UND_REFUSED', `it is not known where ${service} listens on ${primary}`)
  return { node: primary, host: node.address, port }
}
