/**
 * Starts a whole cluster on this machine and supervises its agents until it is told to end.
 *
 * Signals: SIGINT and SIGTERM stop everything in order, a second one kills everything at once. SIGHUP (the terminal is
 * gone) ends the output and nothing else: services must not die of a lost connection. SIGUSR2 lets go: `down` is taking
 * over.
 */
import type { ConfigSource } from '../../core/config-record.ts'
import type { ClusterSpec } from '../../core/model.ts'
import { UnderstudyError } from '../../errors.ts'
import { inBackground, reportUnhandledRejections } from '../../lib/background.ts'
import type { StateFolder } from '../../local/cluster-folder.ts'
import { LET_GO_SIGNAL } from '../../local/end-cluster.ts'
import type { LocalEvent } from '../../local/local-node.ts'
import { type LocalCluster, refuseStart, runsOtherwise, startLocal } from '../../local/start-cluster.ts'
import type { LeftProcess } from '../../local/stop-cluster.ts'
import { applyToRunning } from '../apply-to-running.ts'
import { author } from '../author.ts'
import { type CommonOptions, stateFolder } from '../cluster-session.ts'
import { detach, sayThatItLooksAfter } from '../detach.ts'
import type { Io } from '../io.ts'
import { whatifRoom } from '../lazy-rooms.ts'
import { LiveView, PlainView, type View } from '../live-view.ts'
import { footerLines } from '../print/frame.ts'
import { killedLines, leftLine, stopLines } from '../print/print-stop.ts'
import { warningLines } from '../print/whatif-parts.ts'
import { readConfig } from '../read-config.ts'
import { Screen } from '../screen.ts'
import { refuseMissingSecrets } from '../secrets-access.ts'
import { version } from '../version.ts'
import { type AddCommand, clusterCommand, durationOption, printJsonLine } from './command.ts'

export interface UpOptions extends CommonOptions {
  readonly yes?: boolean
  readonly resume?: boolean
  readonly detach?: boolean
  readonly plain?: boolean
  readonly timeout: number
}

export const addUp: AddCommand = (program, io, exit) => {
  clusterCommand(program, 'up', 'start every node of a config on this machine and look after them', EXAMPLE)
    .argument('[config]', 'the config, or a folder that holds one (default: understudy.config.ts here)')
    .option('--detach', 'return when every service is healthy; the cluster goes on in the background')
    .option('--timeout <duration>', 'with --detach: how long to wait for that', durationOption, 60_000)
    .option('--yes', 'where the cluster runs with another config: apply this one without asking')
    .option('--resume', 'look after what runs from the state folder, with the config that it has')
    .option('--plain', 'a line for each event, also on a terminal')
    .action(async (path: string | undefined, options: UpOptions) => {
      const state = stateFolder(io, options)
      if (options.resume) return exit(await stay(io, whatRuns(state), options))
      const { spec, file, source, warnings } = await readConfig(path, state)
      if (warnings !== '') io.err(warnings)
      await refuseMissingSecrets(spec, state)
      if (runsOtherwise(spec, state)) {
        const outcome = await applyToRunning(io, { spec, source, state }, options)
        if (outcome !== undefined) return exit(outcome)
      } else for (const line of await weakLines(io, spec)) io.err(line)
      // Not only by the process behind, which would leave a line in the log of the one that runs.
      if (options.detach) await refuseStart(spec, state)
      const code = options.detach
        ? await detach(io, { spec, file, state, json: options.json === true, timeoutMs: options.timeout })
        : await stay(io, { spec, file, source, stateDir: state.path }, options)
      exit(code)
    })
}

/** Throws UND_NOT_RUNNING when nothing was ever started from that folder. */
function whatRuns(state: StateFolder): Plan {
  const kept = state.readCluster()
  if (!kept) throw new UnderstudyError('UND_NOT_RUNNING', `no cluster was started from ${state.path}`)
  return { spec: kept.spec, file: kept.configFile, source: kept.source, stateDir: state.path }
}

/** So many weaknesses are named before a start; `whatif` names all. */
const MOST_WARNINGS = 3

/** What one failure would be enough for. A start does not wait for long answers: large clusters are left to `whatif`. */
async function weakLines(io: Io, spec: ClusterSpec): Promise<string[]> {
  const { WhatIf, MOST_NODES } = await whatifRoom()
  if (spec.nodes.length > MOST_NODES) return []
  return warningLines(io, new WhatIf({ cluster: spec }).report().weaknesses, MOST_WARNINGS)
}

interface Plan {
  readonly spec: ClusterSpec
  readonly file: string | undefined
  readonly source: ConfigSource | undefined
  readonly stateDir: string
}

async function stay(io: Io, { spec, file, source, stateDir }: Plan, options: UpOptions): Promise<number> {
  const live = io.tty && !options.plain && !options.json
  const view: View = live ? new LiveView(io) : new PlainView(io, options.json === true)
  const early: LocalEvent[] = []
  const cluster = await startLocal({
    spec,
    stateDir,
    version: version(),
    ...(file !== undefined && { configFile: file }),
    ...(source && { source }),
    by: author(),
    onEvent: (event) => early.push(event),
  })
  sayThatItLooksAfter()
  reportUnhandledRejections()
  const end = listenForEnd(cluster)
  if (!live && !options.json) for (const line of ['', ...footerLines(io, spec), '']) io.out(line)
  for (const event of early) view.local(event)
  cluster.onEvent((event) => view.local(event))
  view.open(cluster)

  const why = await end.asked
  view.close()
  if (why === 'let-go' || why === 'ended') {
    cluster.letGo()
    if (!options.json)
      io.out(
        why === 'ended'
          ? 'The cluster was stopped: every agent ended.'
          : 'Let go: “understudy down” stops the cluster.',
      )
    return 0
  }
  const killed = await stop(io, cluster, end.askedAgain, { live, json: options.json === true })
  return killed === 0 ? 0 : 1
}

interface End {
  readonly asked: Promise<'stop' | 'let-go' | 'ended'>
  readonly askedAgain: Promise<void>
}

function listenForEnd(cluster: LocalCluster): End {
  let again = () => {}
  const askedAgain = new Promise<void>((resolve) => {
    again = resolve
  })
  const asked = new Promise<'stop' | 'let-go' | 'ended'>((resolve) => {
    let times = 0
    const stopAsked = () => {
      times += 1
      if (times === 1) resolve('stop')
      else again()
    }
    process.on('SIGINT', stopAsked)
    process.on('SIGTERM', stopAsked)
    process.on('SIGHUP', () => {})
    process.on(LET_GO_SIGNAL, () => resolve('let-go'))
    inBackground(
      cluster.ended.then(() => resolve('ended')),
      'the end of the cluster',
    )
  })
  return { asked, askedAgain }
}

interface HowShown {
  readonly live: boolean
  readonly json: boolean
}

/** Resolves to how many processes had to be killed. */
async function stop(
  io: Io,
  cluster: LocalCluster,
  askedAgain: Promise<void>,
  { live, json }: HowShown,
): Promise<number> {
  if (!json) io.out('Stopping everything in order; Ctrl-C again kills everything now.')
  const screen = new Screen(live)
  const stopping = cluster.stop({
    onLeft: (left) => screen.draw(left.length === 0 ? [] : [leftLine(io, left)]),
  })
  let killing: Promise<readonly LeftProcess[]> | undefined
  const askedToKill = askedAgain.then(() => {
    killing = cluster.kill()
  })
  const report = await Promise.race([stopping, askedToKill])
  // Whatever the orderly stop says of itself then, it was this that ended things.
  const killed = (await killing) ?? report?.killed ?? []
  screen.close()
  if (json) printJsonLine(io, { stopped: true, told: report?.told ?? false, killed })
  else for (const line of report && !killing ? stopLines(io, report) : killedLines(io, killed)) io.out(line)
  return killed.length
}

const EXAMPLE = `understudy up
understudy up examples/shop/understudy.config.ts --detach`
