/**
 * The balancer's process: one on every node, apart from the agent, so that neither's troubles are the other's.
 *
 *     node dist/balancer/main.js --socket PATH --saved PATH
 *
 * Boot order: the saved table first, so that clients are served before an agent connects; then the control socket.
 * SIGTERM, SIGINT or `drain-and-exit`: accept nothing more, let what is open end (10 s at most), exit 0.
 */
import { parseArgs } from 'node:util'
import { PROTOCOL, type Speaks } from '../core/protocol.ts'
import { AssertionError } from '../lib/assert.ts'
import { faultLine, inBackground, onFault } from '../lib/background.ts'
import { systemClock } from '../lib/clock.ts'
import { version } from '../lib/program-version.ts'
import { superviseLoop } from '../lib/supervised-loop.ts'
import { Balancer, type DoorEvents } from './balancer.ts'
import type { FromBalancer } from './balancer-messages.ts'
import { Secrets } from './balancer-secrets.ts'
import { ControlServer } from './control-server.ts'
import { readTable } from './read-table.ts'
import { readSaved, type Saved, Saver } from './saved-table.ts'

const COUNTERS_EVERY_MS = 1_000
const SPEAKS: Speaks = { version: version(), protocol: PROTOCOL }

function log(text: string): void {
  process.stderr.write(`${new Date(systemClock.wall()).toISOString()} balancer: ${text}\n`)
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { socket: { type: 'string' }, saved: { type: 'string' } } })
  const { socket: socketPath, saved: savedPath } = values
  if (socketPath === undefined || savedPath === undefined) {
    log('usage: main.js --socket PATH --saved PATH')
    process.exit(2)
  }
  let control: ControlServer | undefined
  const tell = (message: FromBalancer): void => control?.tell(message)
  const secrets = new Secrets()
  const door = new Balancer(systemClock, Math.random, eventsTo(tell), secrets.of)
  const hello = (): void => tell({ type: 'hello', pid: process.pid, version: door.version, program: SPEAKS })
  const accept = (value: unknown): void => {
    const table = readTable(value)
    if (typeof table === 'string') {
      log(`a table was refused: ${table}`)
      tell({ type: 'table-refused', why: table })
      return
    }
    if (!door.apply(table)) return
    saver.save({ table, highestTerms: door.highestTerms })
    hello()
  }

  // A full disk must not stop the balancer: it has the table in memory, and the agent has it too.
  const saver = new Saver(savedPath, (error) => log(`the table could not be saved: ${text(error)}`))
  const saved = savedTable(savedPath)
  if (saved) {
    door.recallTerms(saved.highestTerms)
    door.apply(saved.table)
  }
  let leaving = false
  const leave = async (): Promise<void> => {
    if (leaving) return
    leaving = true
    await door.drain()
    control?.close()
    process.exit(0)
  }
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.on(name, () => inBackground(leave(), 'leaving'))
  control = await ControlServer.open(socketPath, {
    onTable: accept,
    onSecrets(value) {
      const complaint = secrets.take(value)
      if (complaint !== undefined) log(`secrets were refused: ${complaint}`)
    },
    onDrainAndExit: () => inBackground(leave(), 'leaving'),
    onNotUnderstood: log,
    onConnected() {
      hello()
      door.retell()
      tell({ type: 'counters', routes: door.report() })
    },
  })
  tellCounters(door, tell)
}

/** A file that cannot be used is no reason to serve nothing: the agent tells the table anew. */
function savedTable(path: string): Saved | undefined {
  try {
    return readSaved(path)
  } catch (error) {
    log((error as Error).message)
    return undefined
  }
}

function eventsTo(tell: (message: FromBalancer) => void): DoorEvents {
  return {
    onListening: ({ service, host, port }) => tell({ type: 'listening', service, host, port }),
    onListenFailed({ service, host, port }, code, message) {
      log(`${service}: cannot listen on ${host}:${port}: ${message}`)
      tell({ type: 'listen-failed', service, host, port, code, message })
    },
    onVerdict(service, targetId, verdict, why) {
      tell({ type: 'verdict', service, targetId, verdict, why })
    },
    onFull: (service, targetId, isFull, of) => tell({ type: 'full', service, targetId, isFull, of }),
    onSessions: (tally) => tell({ type: 'sessions', ...tally }),
    onAhead: (places) => tell({ type: 'ahead', places }),
    onStill: (places) => tell({ type: 'still', places }),
  }
}

function tellCounters(door: Balancer, tell: (message: FromBalancer) => void): void {
  let last = ''
  const work = () => {
    const routes = door.report()
    const now = JSON.stringify(routes)
    if (now !== last) tell({ type: 'counters', routes })
    last = now
  }
  superviseLoop({ clock: systemClock, what: 'telling the counters', everyMs: COUNTERS_EVERY_MS, work })
}

function text(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message).replaceAll('\n', ' | ') : String(error)
}

/** An error in one request must not end the others; a broken invariant must, because nothing can be trusted after it. */
function survive(what: string, error: unknown): void {
  log(error instanceof Error ? faultLine(what, error) : `a fault in ${what}: ${String(error)}`)
  if (error instanceof AssertionError) process.exit(70)
}

onFault(survive)
process.on('uncaughtException', (error) => survive('an event', error))
process.on('unhandledRejection', (error) => survive('a promise that nothing waited for', error))
main().catch((error: unknown) => {
  log(text(error))
  process.exit(1)
})
