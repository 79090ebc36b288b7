/**
 * One node after the other becomes of this version: its agent is ended and started again with this program by the process that looks
 * after it, and then has its fence and its balancer replaced. The next node follows only when all of that is seen and every
 * service is as healthy as before. Nothing is remembered: what is to be done is what the status says, so an upgrade that was
 * interrupted at any moment is gone on with by beginning again.
 */
import type { NodeStatus, ServiceStatus, Status } from '../client/index.ts'
import { EARLIER, MOST_APART, PROTOCOL, UNSAID_PROTOCOL } from '../core/protocol.ts'
import { UnderstudyError } from '../errors.ts'
import { type Clock, sleep } from '../lib/clock.ts'
import { formatDuration } from '../lib/duration.ts'

export interface UpgradeStep {
  readonly node: string
  readonly what: 'restarting' | 'upgraded' | 'skipped'
  /** A sentence. */
  readonly why: string
}

export interface UpgradePorts {
  readonly version: string
  readonly clock: Clock
  /** As the agent of that node sees it; as any agent does, when none is named. */
  status(node?: string): Promise<Status>
  /** Ends the agent of a node, which is started again with this program. */
  restartAgent(node: string): void
  tell(step: UpgradeStep): void
}

export interface UpgradeOptions {
  /** How long one node may take. */
  readonly withinMs: number
  /** Also with a node that is down and services that are not healthy. */
  readonly force: boolean
}

const LOOK_EVERY_MS = 200
/** A state that was seen so often in a row is no moment between two others. */
const SEEN_IN_A_ROW = 3

/** Why this program must not begin now; undefined when it may. */
export function upgradeRefusal({ nodes, services }: Status, force: boolean): string | undefined {
  const apart = nodes.filter(({ alive, protocol }) => alive && Math.abs(PROTOCOL - (protocol ?? 0)) > MOST_APART)
  if (apart.length > 0) {
    const names = apart.map(
      ({ name, version, protocol }) => `${name} (${version}, protocol ${protocol ?? UNSAID_PROTOCOL})`,
    )
    return `${names.join(', ')} and this program (protocol ${PROTOCOL}) are more than one version apart: upgrade by the versions between`
  }
  if (force) return undefined
  const down = nodes.filter(({ alive }) => !alive).map(({ name }) => name)
  if (down.length > 0)
    return `${down.join(', ')} cannot be heard: bring it back first, or upgrade the others with --force`
  const unhealthy = services.filter(isUnhealthy).map(({ name }) => name)
  if (unhealthy.length === 0) return undefined
  return `${unhealthy.join(', ')} is not healthy or not complete, and a restart of agents could hide why: mend it first (“understudy why ${unhealthy[0]}”), or use --force`
}

/** Its balancer may be of a version that cannot hand over: that one stays. */
export function isUpgraded(node: NodeStatus, version: string): boolean {
  const isRenewed = node.balancerVersion === version || node.balancerVersion === EARLIER.version
  return node.version === version && node.fenceVersion === version && isRenewed
}

/** Rejects with UND_REFUSED before anything was done, with UND_TIMED_OUT when a node or a service did not come back in time. */
export async function upgradeNodes(ports: UpgradePorts, options: UpgradeOptions): Promise<Status> {
  const before = await asEachSays(ports)
  const refusal = upgradeRefusal(before, options.force)
  if (refusal !== undefined) throw new UnderstudyError('UND_REFUSED', refusal)
  for (const { name } of before.nodes) await upgradeNode(name, before, ports, options)
  return asEachSays(ports)
}

/** An agent of an earlier version does not tell the versions of others, so each is asked for its own. */
export async function asEachSays({ status }: Pick<UpgradePorts, 'status'>): Promise<Status> {
  const seen = await status()
  const own = seen.nodes.map(async (node) => {
    if (!node.alive) return node
    const said = await status(node.name).catch(() => undefined) // it is just being restarted: what others know of it
    return said ? nodeIn(said, node.name) : node
  })
  return { ...seen, nodes: await Promise.all(own) }
}

async function upgradeNode(name: string, before: Status, ports: UpgradePorts, options: UpgradeOptions): Promise<void> {
  const { version, tell, restartAgent } = ports
  const known = nodeIn(before, name)
  if (!known.alive)
    return tell({ node: name, what: 'skipped', why: `${name} cannot be heard: run this again when it is back` })
  if (known.version !== version) {
    tell({ node: name, what: 'restarting', why: `${name}: agent ${known.version ?? EARLIER.version} → ${version}` })
    restartAgent(name)
  }
  const status = await settled(name, before, ports, options)
  const { balancerVersion } = nodeIn(status, name)
  const stays =
    balancerVersion === EARLIER.version ? '; its balancer cannot hand over and stays until the node restarts' : ''
  tell({ node: name, what: 'upgraded', why: `${name}: ${version}, every service as healthy as before${stays}` })
}

async function settled(
  name: string,
  before: Status,
  ports: UpgradePorts,
  { withinMs }: UpgradeOptions,
): Promise<Status> {
  const { clock, version } = ports
  const deadline = clock.mono() + withinMs
  let inARow = 0
  let missing: string[] = ['its agent does not answer']
  while (clock.mono() < deadline) {
    const status = await ports.status(name).catch(() => undefined) // it is just being restarted
    missing = status ? whatIsMissing(status, name, before, version) : ['its agent does not answer']
    inARow = missing.length === 0 ? inARow + 1 : 0
    if (status && inARow >= SEEN_IN_A_ROW) return status
    await sleep(clock, LOOK_EVERY_MS)
  }
  throw new UnderstudyError(
    'UND_TIMED_OUT',
    `${name} is not as it should be after ${formatDuration(withinMs)}: ${missing.join('; ')}. The other nodes were left as they are; run “understudy upgrade --self” again to go on`,
  )
}

function whatIsMissing(now: Status, name: string, before: Status, version: string): string[] {
  const node = now.nodes.find((one) => one.name === name)
  const lost = now.nodes.filter(({ name: of, alive }) => !alive && nodeIn(before, of).alive).map(({ name: of }) => of)
  const worse = now.services.filter((service) => {
    const was = before.services.find((one) => one.name === service.name)
    return was !== undefined && isWorse(was, service)
  })
  return [
    ...(node && isUpgraded(node, version) ? [] : [`it says ${said(node)}`]),
    ...lost.map((of) => `${of} is not heard`),
    ...worse.map((service) => `${service.name} is not as healthy as before: ${service.why}`),
  ]
}

function said(node: NodeStatus | undefined): string {
  const text = (what: string, of: string | null | undefined) => `${what} ${of ?? 'unknown'}`
  if (!node) return 'nothing'
  return [text('agent', node.version), text('fence', node.fenceVersion), text('balancer', node.balancerVersion)].join(
    ', ',
  )
}

const RANK = { redundant: 0, 'not-redundant': 1, degraded: 2, unhealthy: 3 } as const

function isWorse(was: ServiceStatus, now: ServiceStatus): boolean {
  return (was.healthy && !now.healthy) || RANK[now.redundancyState.state] > RANK[was.redundancyState.state]
}

function isUnhealthy({ healthy, redundancyState: { state } }: ServiceStatus): boolean {
  return !healthy || state === 'unhealthy' || state === 'degraded'
}

function nodeIn(status: Status, name: string): NodeStatus {
  const node = status.nodes.find((one) => one.name === name)
  if (node) return node
  throw new UnderstudyError('UND_UNKNOWN_NODE', `${name} is not part of the cluster any more`)
}
