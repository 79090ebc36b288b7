/**
 * A changed config from the plan to its end: what `apply`, `config rollback` and `up` have in common. Everything goes through the
 * HTTP API; a config that another operator applied meanwhile makes this one fail, and nothing changes.
 */
import type { Client, ConfigAccepted, ConfigContent, Status } from '../client/index.ts'
import type { ClusterSpec } from '../core/model.ts'
import { UnderstudyError } from '../errors.ts'
import { sleep, systemClock } from '../lib/clock.ts'
import { printJson } from './commands/command.ts'
import { eventsSoFar, followChange, type Progress, whatLacks } from './follow-change.ts'
import type { Io } from './io.ts'
import { plannedChange } from './plan-change.ts'
import { type PlannedChange, planLines } from './print/print-plan.ts'

export interface ApplyOptions {
  readonly plan?: boolean
  readonly yes?: boolean
  readonly wait: boolean
  readonly timeout: number
  readonly json?: boolean
}

export interface ApplyRun {
  readonly client: Client
  readonly spec: ClusterSpec
  /** Does it: `present` is what it was compared with. */
  write(present: ConfigContent): Promise<ConfigAccepted>
}

/** What came of it. `code` is the exit code; `number` the config that was written, if one was. */
export interface ApplyOutcome {
  readonly code: number
  readonly result: 'nothing' | 'planned' | 'declined' | 'accepted' | 'done' | 'failed' | 'interrupted'
  readonly number?: number
}

/** With `plan`: 0 when there is nothing to do, 2 when there is. Rejects with UND_REFUSED, UND_CONFLICT, UND_TOO_OLD, UND_TIMED_OUT. */
export async function applyConfig(
  io: Io,
  { client, spec, write }: ApplyRun,
  options: ApplyOptions,
): Promise<ApplyOutcome> {
  const [present, status] = await Promise.all([client.config(), statusOfAll(client)])
  const change = await plannedChange(present, spec, status)
  const say = (lines: readonly string[]) => {
    if (!options.json) for (const line of lines) io.out(line)
  }
  say(planLines(io, change))
  if (change.refused.length > 0) {
    const why = options.json ? `: ${change.refused.join('\n')}` : ''
    throw new UnderstudyError(
      'UND_REFUSED',
      `the cluster cannot become that in one step, and nothing was changed${why}`,
    )
  }
  if (change.isEmpty || options.plan) {
    if (options.json) printJson(io, change)
    return change.isEmpty ? { code: 0, result: 'nothing' } : { code: 2, result: 'planned' }
  }
  if (!(await isWanted(io, options))) {
    say(['Nothing was changed.'])
    return { code: 1, result: 'declined' }
  }
  const seen = await eventsSoFar(client)
  const accepted = await write(present)
  say([`Accepted: ${accepted.what}.`])
  if (!options.wait) {
    if (options.json) printJson(io, accepted)
    else say([howToLook(present.number)])
    return { code: 0, result: 'accepted', number: accepted.number }
  }
  return waitForConfig(io, client, { change, spec, accepted, seen }, options)
}

/** A node that an agent has not heard since it started is heard, or given up as lost, within seconds; an apply needs its version. */
const HEARD_WITHIN_MS = 10_000

/** Once no node is unknown; as it is when that takes too long. */
async function statusOfAll(client: Client): Promise<Status> {
  const deadline = systemClock.mono() + HEARD_WITHIN_MS
  for (;;) {
    const status = await client.status()
    const isKnown = status.nodes.every(({ state }) => state !== 'unknown')
    if (isKnown || systemClock.mono() >= deadline) return status
    await sleep(systemClock, 100)
  }
}

/** Throws UND_BAD_REQUEST where there is no terminal to ask on. */
async function isWanted(io: Io, { yes }: ApplyOptions): Promise<boolean> {
  if (yes) return true
  if (!io.ask)
    throw new UnderstudyError(
      'UND_BAD_REQUEST',
      'there is no terminal to ask on: add --yes; “understudy apply --plan” changes nothing',
    )
  return /^y(es)?$/i.test((await io.ask('Apply this? [y/N] ')).trim())
}

interface Accepted {
  readonly change: PlannedChange
  readonly spec: ClusterSpec
  readonly accepted: ConfigAccepted
  readonly seen: Set<string>
}

async function waitForConfig(
  io: Io,
  client: Client,
  { change, spec, accepted: { number }, seen }: Accepted,
  { timeout, json = false }: ApplyOptions,
): Promise<ApplyOutcome> {
  const goal = `${change.cluster} runs with config ${number}`
  const progress = (status: Status) => configProgress(status, number, change, spec)
  const onInterrupt = ['The change goes on.', howToLook(change.from)]
  const code = await followChange(io, client, { seen, json, timeoutMs: timeout, goal, onInterrupt, progress })
  const result = code === 0 ? 'done' : code === 130 ? 'interrupted' : 'failed'
  if (json) printJson(io, { result, number })
  else if (code === 0) io.out(`${goal}.`)
  else if (code === 1) io.out(howToLook(change.from))
  return { code, result, number }
}

function howToLook(before: number): string {
  return `“understudy status” shows how far it is, “understudy apply --abort” goes back to config ${before}.`
}

/** Only what this change touches: another service that is unhealthy for reasons of its own holds nothing up. */
export function configProgress(status: Status, number: number, { plan }: PlannedChange, spec: ClusterSpec): Progress {
  const { config } = status
  if (!config || config.number < number) return `${status.answeredBy} has not heard of config ${number} yet`
  if (config.number > number)
    return { failed: `config ${config.number} has replaced config ${number} (${config.message || `by ${config.by}`})` }
  const touched = plan.services.filter(({ change }) => change !== 'nothing' && change !== 'removed')
  const services = touched.map(({ service }) => ({
    service,
    now: status.services.find(({ name }) => name === service),
  }))
  for (const { service, now } of services) {
    const goesBack = spec.services.find(({ name }) => name === service)?.update?.onFailure === 'rollback'
    if (now?.rollout?.state === 'stopped' && !goesBack)
      return {
        failed: `the roll-out of ${service} stopped after ${now.rollout.updated} of ${now.rollout.of}: ${now.rollout.why}`,
      }
  }
  const added = plan.nodes.filter(({ change }) => change === 'new').map(({ node }) => node)
  const silent = added.filter((node) => !status.nodes.some(({ name, alive }) => name === node && alive))
  if (silent.length > 0) return `${silent.join(', ')} not started yet`
  const lacks = services.map(({ service, now }) => (now ? whatLacks(now) : `${service} is not known yet`))
  const first = lacks.find((lack) => lack !== undefined)
  if (first !== undefined) return first
  if (config.removed.length > 0) return `${config.removed.join(', ')} still ends`
  return config.leaving.length > 0 ? `${config.leaving.join(', ')} still hands over` : undefined
}
