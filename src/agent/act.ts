/**
 * Performs one decided step. Every step may be said twice; every dangerous one is preceded by another look (loop.ts). What
 * a step did is a sentence for the journal, or undefined when there was nothing left to do.
 */

import type { ServiceName, ServiceSpec } from '../core/model.ts'
import type { ServiceRecord } from '../core/records.ts'
import { assertLegal } from '../core/roles.ts'
import type { Step } from '../core/step.ts'
import { holdsLead, localInstance, recordOf, type View } from '../core/view.ts'
import type { Driver, KeepingDriver } from '../drivers/driver.ts'
import type { ReplicaDriver } from '../drivers/replica-driver.ts'
import { assert, assertNever } from '../lib/assert.ts'
import type { ProcessIdentity } from '../lib/proc.ts'
import { isQuorumPrimary, performOnReplica } from './act-on-replica.ts'
import type { World } from './agent-ports.ts'
import { KEY } from './agreed-records.ts'
import type { Leads } from './leads.ts'
import { rollBack } from './roll-back.ts'

export interface Hands {
  readonly world: World
  readonly leads: Leads
  exit(): void
}

export async function perform(step: Step, view: View, hands: Hands): Promise<string | undefined> {
  switch (step.kind) {
    case 'start':
      return start(step, view, hands)
    case 'promote':
      return promote(step, view, hands)
    case 'stop': {
      const { settleMs, graceMs } = serviceOf(view, step.service).timing
      // Only balancers need time to look away; what no endpoint leads to can be asked to end at once.
      const listens = serviceOf(view, step.service).endpoints.length > 0
      const driver = driverOf(hands, step.service)
      await driver.stop({ settleMs: listens ? settleMs : 0, graceMs, ...(step.drains && { drains: true }) })
      const { note } = driver.observe()
      return `${step.service} on ${view.self} was stopped${note && `: ${note}`}`
    }
    case 'kill':
      await driverOf(hands, step.service).kill()
      return `${step.service} on ${view.self} was killed`
    case 'take-lead': {
      const won = await hands.leads.take(serviceOf(view, step.service), step.term, step.revision)
      return won ? `${view.self} won term ${step.term} of ${step.service}` : undefined
    }
    case 'give-up-lead':
      await hands.leads.giveUp(step.service, step.term, step.vacancy)
      return `${view.self} gave up term ${step.term} of ${step.service}${step.vacancy.successor ? ` for ${step.vacancy.successor}` : ''}`
    case 'call-off':
      return callOff(step.service, step.id, view, hands)
    case 'record':
      return writeRecord(KEY.service(step.service), step, hands)
    case 'create':
    case 'recruit':
    case 'promote-replica':
    case 'follow':
    case 'change-quorum':
    case 'demote':
      return performOnReplica(step, view, replicaDriverOf(hands, step.service))
    case 'rollout':
      return writeRecord(KEY.rollout(step.service), step, hands)
    case 'roll-back':
      return rollBack(step.service, step.target, view, hands.world.store)
    case 'retire':
      return retire(step.service, hands)
    case 'write-config':
      return writeConfigRecord(step, hands)
    case 'exit':
      hands.exit()
      return `the agent of ${view.self} ends`
    default:
      return assertNever(step)
  }
}

async function start(step: Step & { kind: 'start' }, view: View, { world, leads }: Hands): Promise<string> {
  const instance = localInstance(view, step.service)
  assertLegal(instance, step, holdsLead(view, step.service) || isQuorumPrimary(view, step.service))
  const covers = step.role === 'primary' && serviceOf(view, step.service).traits.singleWriter
  const beforeRun = async (identity: ProcessIdentity) => {
    await leads.cover(step.service, step.term, identity)
    await world.endFormer?.(step.service, step.term)
  }
  await driverOf({ world }, step.service).start({ role: step.role, term: step.term, ...(covers && { beforeRun }) })
  const term = step.term > 0 ? ` in term ${step.term}` : ''
  return `${step.service} was started on ${view.self} as ${step.role}${term}`
}

async function promote(step: Step & { kind: 'promote' }, view: View, { world, leads }: Hands): Promise<string> {
  const instance = localInstance(view, step.service)
  assertLegal(instance, step, holdsLead(view, step.service))
  if (serviceOf(view, step.service).traits.singleWriter) {
    assert(instance.pid !== undefined && instance.startTime !== undefined, `a running ${step.service} has an identity`)
    await leads.cover(step.service, step.term, { pid: instance.pid, startTime: instance.startTime })
    await world.endFormer?.(step.service, step.term)
  }
  await driverOf({ world }, step.service).promote(step.term)
  return `the standby of ${step.service} on ${view.self} was promoted in term ${step.term}`
}

/** Compare-and-swap of one record: undefined when another node was faster, and then the next turn sees what it wrote. */
async function writeRecord(
  key: string,
  step: Step & { kind: 'record' | 'rollout' },
  { world }: Hands,
): Promise<string | undefined> {
  const outcome = await world.store.swap([{ key, revision: step.revision }], [{ key, value: step.record }])
  return outcome === 'done' ? step.what : undefined
}

async function retire(service: ServiceName, { world }: Hands): Promise<string | undefined> {
  const driver = driverOf({ world }, service)
  const aside = 'retire' in driver ? await (driver as KeepingDriver).retire() : undefined
  world.drivers.drop(service)
  return aside
}

async function writeConfigRecord(step: Step & { kind: 'write-config' }, { world }: Hands): Promise<string | undefined> {
  const forgotten = step.forgets.flatMap((name) => [
    KEY.service(name),
    KEY.size(name),
    KEY.wish(name),
    KEY.rollout(name),
  ])
  const given = Object.entries(step.given).map(([name, revision]) => ({ key: KEY.service(name), revision }))
  const outcome = await world.store.swap(
    [{ key: KEY.config, revision: step.revision }, ...given],
    [{ key: KEY.config, value: step.record }, ...forgotten.map((key) => ({ key, value: undefined }))],
  )
  return outcome === 'done' ? step.what : undefined
}

async function callOff(service: ServiceName, id: string, view: View, { world }: Hands): Promise<string | undefined> {
  const { revision, switchover, ...record } = recordOf(view, service)
  if (switchover?.id !== id) return undefined
  const outcome = await world.store.swap(
    [{ key: KEY.service(service), revision }],
    [{ key: KEY.service(service), value: record satisfies ServiceRecord }],
  )
  return outcome === 'done' ? `the switchover of ${service} to ${switchover.to} was called off` : undefined
}

function serviceOf(view: View, name: ServiceName): ServiceSpec {
  const known = [...view.cluster.services, ...(view.config?.removed ?? [])]
  const service = known.find((candidate) => candidate.name === name)
  assert(service, `a step about ${name}, which the config does not name`)
  return service
}

function replicaDriverOf(hands: Pick<Hands, 'world'>, name: ServiceName): ReplicaDriver {
  const driver = driverOf(hands, name)
  assert('recruit' in driver, `the driver of ${name} cannot recruit replicas`)
  return driver as ReplicaDriver
}

function driverOf({ world }: Pick<Hands, 'world'>, name: ServiceName): Driver {
  const driver = world.drivers.get(name)
  assert(driver, `no driver stands for ${name}`)
  return driver
}
