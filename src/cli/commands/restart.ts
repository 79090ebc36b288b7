/** One service: replaced instance by instance, ended on every node, or started again. Each waits until that is so. */
import type { Accepted, Client, ServiceStatus, Status } from '../../client/index.ts'
import { author } from '../author.ts'
import { type CommonOptions, mustKnowService, openSession } from '../cluster-session.ts'
import { eventsSoFar, followChange, type Progress, whatLacks } from '../follow-change.ts'
import type { Io } from '../io.ts'
import { type AddCommand, clusterCommand, durationOption, printJson } from './command.ts'

interface Options extends CommonOptions {
  readonly wait: boolean
  readonly timeout: number
}

interface Verb {
  readonly name: 'restart' | 'stop' | 'start'
  readonly summary: string
  readonly example: string
  /** What is so in the end. */
  readonly goal: (service: string) => string
  /** `before`: the service before it was asked. */
  progress(now: ServiceStatus, before: ServiceStatus | undefined): Progress
}

const RESTART: Verb = {
  name: 'restart',
  summary: 'replace every instance of a service, one after the other',
  example: 'understudy restart web',
  goal: (service) => `every instance of ${service} was replaced`,
  progress(now, before) {
    if ((now.restarts ?? 0) <= (before?.restarts ?? 0)) return `${now.name} is not restarting yet`
    if (now.rollout?.state !== 'stopped') return whatLacks(now)
    return {
      failed: `the restart of ${now.name} stopped after ${now.rollout.updated} of ${now.rollout.of}: ${now.rollout.why}`,
    }
  },
}

const STOP: Verb = {
  name: 'stop',
  summary: 'end a service on every node, until it is started',
  example: 'understudy stop worker\nunderstudy start worker',
  goal: (service) => `${service} is stopped; “understudy start ${service}” starts it`,
  progress({ name, stopped, instances }) {
    if (!stopped) return `${name} is not stopping yet`
    const runs = instances.filter(({ state }) => state !== 'stopped').map(({ node }) => node)
    return runs.length === 0 ? undefined : `${name} still ends on ${runs.join(', ')}`
  },
}

const START: Verb = {
  name: 'start',
  summary: 'start a service that was stopped',
  example: 'understudy start worker',
  goal: (service) => `${service} runs`,
  progress: (now) => (now.stopped ? `${now.name} is not starting yet` : whatLacks(now)),
}

export const addRestart: AddCommand = (program, io, exit) => addVerb(RESTART, program, io, exit)
export const addStop: AddCommand = (program, io, exit) => addVerb(STOP, program, io, exit)
export const addStart: AddCommand = (program, io, exit) => addVerb(START, program, io, exit)

function addVerb(verb: Verb, ...[program, io, exit]: Parameters<AddCommand>): void {
  clusterCommand(program, verb.name, verb.summary, verb.example)
    .argument('<service>', 'its name')
    .option('--wait', 'stay until it is so', true)
    .option('--no-wait', 'return as soon as it is accepted')
    .option('--timeout <duration>', 'how long to wait', durationOption, 600_000)
    .action(async (service: string, options: Options) => exit(await perform(io, verb, service, options)))
}

async function perform(io: Io, verb: Verb, service: string, options: Options): Promise<number> {
  const session = openSession(io, options)
  mustKnowService(session, service)
  const { client } = session
  const { json = false, timeout: timeoutMs } = options
  const named = ({ services }: Status) => services.find(({ name }) => name === service)
  const before = named(await client.status())
  const seen = await eventsSoFar(client)
  const accepted: Accepted = await ask(client, verb.name, service)
  if (!json) io.out(`Accepted: ${accepted.what}.`)
  if (!options.wait) {
    if (json) printJson(io, accepted)
    return 0
  }
  const progress = (status: Status) => {
    const now = named(status)
    return now ? verb.progress(now, before) : { failed: `${service} is no service of this cluster any more` }
  }
  const onInterrupt = [`It goes on. “understudy status” shows how far it is.`]
  const goal = verb.goal(service)
  const code = await followChange(io, client, { seen, json, timeoutMs, goal, onInterrupt, progress })
  if (json) printJson(io, named(await client.status()))
  else if (code === 0) io.out(`${goal}.`)
  return code
}

function ask(client: Client, verb: Verb['name'], service: string): Promise<Accepted> {
  return client[verb](service, { by: author() })
}
