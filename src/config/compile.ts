/**
 * Raw → draft → checked → compiled, once. What comes out is frozen, has every default filled in, and is the same on every
 * node that compiles the same text. Nothing comes out as long as anything is wrong; then everything that is wrong is told
 * at once.
 */
import { realpathSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { dirname } from 'node:path'
import type { ClusterSpec, NodeSpec, ServiceSpec, UpdateOptions } from '../core/model.ts'
import { UPDATE_DEFAULTS } from '../core/rollout.ts'
import { deepFreeze } from '../lib/deep-freeze.ts'
import { parseDuration } from '../lib/duration.ts'
import { checkAddresses } from './check/check-addresses.ts'
import { checkCapacity } from './check/check-capacity.ts'
import { checkNames } from './check/check-names.ts'
import { checkPlacement, instancesOf } from './check/check-placement.ts'
import { checkPorts } from './check/check-ports.ts'
import { checkTiming } from './check/check-timing.ts'
import { checkPlaces } from './check/places.ts'
import { type Complaint, Findings, InvalidConfig } from './complaint.ts'
import { type Draft, type DraftService, toDraft } from './draft.ts'
import { assignAddresses, isLocalAddress } from './node-addresses.ts'
import { toPlain } from './plain.ts'
import { clusterTiming, serviceTiming, timingsOf } from './resolve-timing.ts'
import type { ServiceOptions } from './service-options.ts'

export interface Compiled {
  readonly spec: ClusterSpec
  /** What can be used and is probably not what was meant. */
  readonly warnings: readonly Complaint[]
}

export interface CompileContext {
  /** The file that the config was read from: named in complaints, and relative paths start at its folder. */
  readonly file?: string
  /** Whether an address belongs to this machine. Default: asks the operating system. */
  readonly isLocal?: (address: string) => boolean
  /** How many cores this machine has. Default: asks the operating system. */
  readonly cores?: number
  /** A path with all links followed; undefined when nothing is there. Default: looks at the disk. */
  readonly realPath?: (path: string) => string | undefined
  /** The addresses of nodes that run: kept where the config writes none. Default: none runs. */
  readonly addresses?: Readonly<Record<string, string>>
}

/** Throws InvalidConfig (UND_CONFIG_INVALID), with every complaint, and nothing else, whatever `raw` is. */
export function compileCluster(
  raw: unknown,
  {
    file,
    isLocal = isLocalAddress,
    realPath = asOnDisk,
    cores = availableParallelism(),
    addresses,
  }: CompileContext = {},
): Compiled {
  const findings = new Findings()
  const draft = toDraft(toPlain(raw, findings), findings)
  checkNames(draft, findings)
  checkPlacement(draft, findings)
  checkPorts(draft, findings)
  checkTiming(draft, findings)
  checkAddresses(draft, isLocal, findings)
  const folder = file === undefined ? process.cwd() : dirname(file)
  checkPlaces(draft, { folder, isLocal, realPath }, findings)
  for (const { path, kind, options } of draft.services) kind.check(path, options, findings)
  if (findings.complaints.length > 0) throw new InvalidConfig(findings.complaints, { file })
  checkCapacity(draft, cores, findings)
  return { spec: deepFreeze(compileDraft(draft, folder, addresses)), warnings: findings.warnings }
}

function asOnDisk(path: string): string | undefined {
  try {
    return realpathSync(path)
  } catch {
    return undefined // not there, or not for us to see: the agents complain of the latter
  }
}

function compileDraft(draft: Draft, folder: string, running?: CompileContext['addresses']): ClusterSpec {
  return {
    name: draft.name,
    store: { kind: 'embedded' },
    apiPort: draft.apiPort,
    nodes: compileNodes(draft, running),
    services: draft.services.map((service) => compileService(draft, service, folder)),
    timing: clusterTiming(timingsOf(draft)),
  }
}

function compileNodes(draft: Draft, running: CompileContext['addresses']): NodeSpec[] {
  const addresses = assignAddresses(draft, running)
  return [...draft.nodes].map(([name, { zone, region }]) => {
    return { name, address: addresses.get(name) ?? '', zone: zone ?? name, region: region ?? 'default' }
  })
}

function compileService(draft: Draft, service: DraftService, folder: string): ServiceSpec {
  const { name, kind } = service
  const options: ServiceOptions = service.options // no complaints: nothing that is required is missing
  return {
    name,
    kind: kind.name,
    redundancy: kind.redundancy ?? options.redundancy ?? 'active-active',
    instances: instancesOf(draft, service),
    traits: kind.traits(options),
    standby: kind.standby(options),
    needs: options.needs ?? [],
    nodes: options.nodes ?? [],
    endpoints: kind.endpoints(options).map(({ endpoint }) => endpoint),
    timing: serviceTiming(timingsOf(draft, service)),
    ...(kind.replication && { replication: kind.replication(options) }),
    objectives: compileObjectives(options.objectives),
    ...(options.update && { update: compileUpdate(options.update) }),
    options: kind.compile(options, folder),
  }
}

function compileUpdate({ atOnce, pause, onFailure }: NonNullable<ServiceOptions['update']>): UpdateOptions {
  return {
    atOnce: atOnce ?? UPDATE_DEFAULTS.atOnce,
    pauseMs: (pause === undefined ? undefined : parseDuration(pause)) ?? UPDATE_DEFAULTS.pauseMs,
    onFailure: onFailure ?? UPDATE_DEFAULTS.onFailure,
  }
}

function compileObjectives({ rto, rpo }: ServiceOptions['objectives'] = {}): ServiceSpec['objectives'] {
  const rtoMs = rto === undefined ? undefined : parseDuration(rto)
  return { ...(rtoMs === undefined ? {} : { rtoMs }), ...(rpo === undefined ? {} : { rpo }) }
}
