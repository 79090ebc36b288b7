/**
 * Another number of instances while the cluster runs; waits until that is so. Progress is shown meanwhile: a replica
 * joins the quorum when it has caught up, and leaves it before it ends.
 */
import type { EventRecord, ServiceStatus } from '../../client/index.ts'
import type { ClusterSpec } from '../../core/model.ts'
import { UnderstudyError } from '../../errors.ts'
import { sleep, systemClock } from '../../lib/clock.ts'
import { formatDuration } from '../../lib/duration.ts'
import { type CommonOptions, mustKnowService, openSession, type Session } from '../cluster-session.ts'
import { serviceIn } from '../databases.ts'
import type { Io } from '../io.ts'
import { eventLine } from '../print/print-events.ts'
import { type AddCommand, clusterCommand, countOption, durationOption, printJson } from './command.ts'

interface ResizeOptions extends CommonOptions {
  readonly degrade?: string
  readonly wait: boolean
  readonly timeout: number
}

const LOOK_EVERY_MS = 200

export const addResize: AddCommand = (program, io) => {
  clusterCommand(program, 'resize', 'run a service with another number of instances, from now on', EXAMPLE)
    .argument('<service>', 'its name')
    .argument('<instances>', 'how many', countOption)
    .option('--degrade <what>', 'with two replicas of a database, when one is lost: block (writes wait) or run-alone')
    .option('--wait', 'stay until it is so', true)
    .option('--no-wait', 'return as soon as it is accepted')
    .option('--timeout <duration>', 'how long to wait: copying takes its time', durationOption, 600_000)
    .action(async (service: string, instances: number, options: ResizeOptions) => {
      const session = openSession(io, options)
      mustKnowService(session, service)
      const degrade = degradeOf(options)
      const seen = new Set((await session.client.events()).map(({ id }) => id))
      const accepted = await session.client.resize({ service, instances, ...(degrade && { degrade }) })
      if (!options.json) io.out(`Accepted: ${accepted.what}.`)
      const running = runningOf(session.spec, service, instances)
      const status = options.wait
        ? await waitFor(io, session, { service, instances, running, seen, ...options })
        : accepted
      if (options.json) printJson(io, status)
      else for (const line of lastLines(session, service, instances, options.wait)) io.out(line)
    })
}

function degradeOf({ degrade }: ResizeOptions): 'block' | 'run-alone' | undefined {
  if (degrade === undefined || degrade === 'block' || degrade === 'run-alone') return degrade
  throw new UnderstudyError('UND_BAD_REQUEST', '--degrade is block or run-alone')
}

interface Waiting {
  readonly service: string
  readonly instances: number
  /** How many of them run when all are there. */
  readonly running: number
  readonly seen: Set<string>
  readonly json?: boolean
  readonly timeout: number
}

/** Rejects with UND_TIMED_OUT. Agents may come and go meanwhile. */
async function waitFor(io: Io, { client }: Session, waiting: Waiting) {
  const { service, instances, running, seen, json, timeout } = waiting
  const deadline = systemClock.mono() + timeout
  while (systemClock.mono() < deadline) {
    const events: readonly EventRecord[] = await client.events().catch(() => [])
    for (const event of events.filter((one) => one.service === service && !seen.has(one.id))) {
      seen.add(event.id)
      if (!json) io.out(eventLine(io, event))
    }
    const status = await client.status().catch(() => undefined)
    const now = status && serviceIn(status, service)
    if (now && isSized(now, instances, running)) return now
    await sleep(systemClock, LOOK_EVERY_MS)
  }
  const message = `${service} has not ${instances} healthy instances within ${formatDuration(timeout)}; “understudy why ${service}” says what holds it`
  throw new UnderstudyError('UND_TIMED_OUT', message)
}

/** A cold standby is a node that may start one: only the primary runs. */
function runningOf({ services }: ClusterSpec, name: string, instances: number): number {
  const spec = services.find((one) => one.name === name)
  const isCold = spec?.redundancy === 'active-passive' && spec.standby === 'cold' && !spec.traits.replicates
  return isCold ? Math.min(1, instances) : instances
}

function isSized({ wanted, healthy, quorum, instances: there }: ServiceStatus, instances: number, running: number) {
  const up = there.filter(({ state }) => state !== 'stopped')
  const all = up.length === running && up.every((instance) => instance.healthy)
  const counts = quorum === null || (quorum.standbys.length === instances - 1 && quorum.k === quorum.wanted)
  return wanted === instances && healthy && all && counts
}

function lastLines({ spec }: Session, name: string, instances: number, waited: boolean): string[] {
  const config = `The config still says ${spec.services.find((one) => one.name === name)?.instances}: write instances: ${instances} there, too.`
  return [...(waited ? [`${name} runs with ${instances} instances.`] : []), config]
}

const EXAMPLE = `understudy resize db 5
understudy resize db 2 --degrade block`
