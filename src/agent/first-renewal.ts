/**
 * The second thing that an agent does, after killing what is due (first-act.ts) and before the rest of the program is loaded: it
 * goes on with the leases that the agent before it left. Loading and starting takes half a second, on a busy machine several, and
 * the fence counts down all that time: an agent that renewed only when it was ready had its writers killed by its own fence.
 *
 * What makes it safe is what makes the adoption of a lead safe (leads.ts): the renewal proves that the lease lives, a look
 * afterwards that the lead is still on it, and only then gets the process that runs in the lead's term a later deadline, counted
 * from before the renewal was sent. A standby, a process of another term, and what another living agent looks after get none.
 *
 * The agent takes over with `firstRenewalsEnd`. One that is not ready in time is as good as dead: its leases run out.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { killAt, type Lease, leaseGranted, renewEveryMs } from '../core/lease.ts'
import type { ServiceName } from '../core/model.ts'
import type { LeadRecord } from '../core/records.ts'
import { readRecord } from '../drivers/process/instance-record.ts'
import { type Clock, systemClock } from '../lib/clock.ts'
import { readIdentityFile } from '../lib/identity-file.ts'
import { isAlive, type ProcessIdentity } from '../lib/proc.ts'
import { socketPath } from '../lib/socket-path.ts'
import { superviseLoop } from '../lib/supervised-loop.ts'
import { openStore } from '../stores/index.ts'
import type { Store } from '../stores/store.ts'
import { AgreedRecords } from './agreed-records.ts'
import { connectFence, type Fence } from './fence-client.ts'

/** An agent that loads for longer than this is not waited for. Judgement: loading took 4 s on two cores at load 40. */
const READY_WITHIN_MS = 15_000

export interface FirstRenewalParts {
  readonly node: string
  readonly nodeDir: string
  readonly clock: Clock
  readonly store: Pick<Store, 'read' | 'renew'>
  readonly fence: Pick<Fence, 'arm'>
}

/**
 * One round: renews what this node leads and runs, and arms the fence. Returns in how many milliseconds the next is due;
 * undefined when there is nothing to renew. Rejects when the store does not answer.
 */
export async function renewOnce({
  node,
  nodeDir,
  clock,
  store,
  fence,
}: FirstRenewalParts): Promise<number | undefined> {
  const renewed = new Map<string, Lease>()
  for (const { lease, ttlMs } of Object.values(await leadsOf(store, node, nodeDir))) {
    if (renewed.has(lease)) continue
    const sentAt = clock.mono()
    const lives = await store.renew(lease).then(
      () => true,
      () => false, // it has ended, or the store is away: its deadline stays
    )
    if (lives) renewed.set(lease, leaseGranted({ id: lease, ttlMs }, sentAt))
  }
  if (renewed.size === 0) return undefined
  const still = await leadsOf(store, node, nodeDir)
  const armed = Object.entries(still).map(async ([service, { lease: id, identity }]) => {
    const lease = renewed.get(id)
    if (lease) await fence.arm(service, identity, killAt(lease)).catch(tellsLater)
  })
  await Promise.all(armed)
  return Math.min(...[...renewed.values()].map(renewEveryMs))
}

interface Led {
  readonly lease: string
  readonly ttlMs: number
  readonly identity: ProcessIdentity
}

/** Of the leads of this node by the store, those whose process runs here in the lead's term. */
async function leadsOf(
  store: Pick<Store, 'read'>,
  node: string,
  nodeDir: string,
): Promise<Readonly<Record<ServiceName, Led>>> {
  const agreed = new AgreedRecords()
  agreed.take(await store.read('lead/'))
  const found: Record<ServiceName, Led> = {}
  for (const [service, lead] of Object.entries(agreed.facts(0, []).leads)) {
    const identity = lead.node === node ? runningIn(nodeDir, service, lead) : undefined
    if (identity && lead.ttlMs !== undefined) found[service] = { lease: lead.lease, ttlMs: lead.ttlMs, identity }
  }
  return found
}

function runningIn(nodeDir: string, service: ServiceName, { term }: LeadRecord): ProcessIdentity | undefined {
  try {
    const record = readRecord(join(nodeDir, 'instances', `${service}.json`))
    const isPrimary = record?.phase === 'open' && record.role === 'primary' && record.term === term
    return isPrimary && isAlive(record.identity) ? record.identity : undefined
  } catch {
    return undefined // its driver says what is wrong with the file
  }
}

function tellsLater(): void {
  // The deadline before stands. The next round arms again, and the agent says why when it cannot.
}

/** Ends what `firstRenewals` began, after a last round. */
let end: () => Promise<void> = async () => undefined

/** Begins for the agent of `--node` on the folder `--state`. Resolves after the first round, however that went. */
export async function firstRenewals(node: string, state: string, clock: Clock = systemClock): Promise<void> {
  const [nodeDir, path] = [join(state, 'nodes', node), join(state, 'store.db')]
  if (!existsSync(path) || otherAgentLives(nodeDir)) return
  const store = await openStore({ kind: 'embedded', path, clock, random: Math.random }).catch(() => undefined)
  if (!store) return // the agent says what is wrong with it
  const fence = connectFence(socketPath(nodeDir, 'fence.sock'))
  const parts = { node, nodeDir, clock, store, fence }
  const close = async () => {
    fence.close()
    await store.close()
  }
  const everyMs = await renewOnce(parts).catch(() => undefined)
  if (everyMs === undefined) return close()
  const round = async () => void (await renewOnce(parts).catch(() => undefined))
  const loop = superviseLoop({ clock, what: 'the first renewals', everyMs, work: round })
  const stop = async (lastRound: () => Promise<void>) => {
    end = async () => undefined
    cancel()
    loop.stop()
    await lastRound()
    await close()
  }
  const cancel = clock.after(READY_WITHIN_MS, () => void stop(async () => undefined).catch(tellsLater))
  end = () => stop(round)
}

/** The agent renews for itself from now on, with all the time that a last round gave. */
export function firstRenewalsEnd(): Promise<void> {
  return end()
}

/** Then this process is about to be refused, and changes nothing. */
function otherAgentLives(nodeDir: string): boolean {
  try {
    const other = readIdentityFile(join(nodeDir, 'agent.json'))
    return other !== undefined && other.pid !== process.pid && isAlive(other)
  } catch {
    return true // it cannot be told
  }
}
