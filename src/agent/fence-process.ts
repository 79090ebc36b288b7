/**
 * The fence: a tiny process that kills single writers when their lease is about to end, whatever has become of their
 * agent. An agent arms it before a writer's first instruction and again with each renewal of the lease. When the agent
 * is stopped, killed, or starved, it does not arm again, and at the deadline this process sends SIGKILL to the writer's
 * group. It depends on no other process.
 *
 *     node --max-old-space-size=32 dist/agent/fence-process.js --socket PATH --saved PATH [--memory] [--guard PATH] [--replace]
 *
 * Deadlines are absolute readings of CLOCK_MONOTONIC, the same for every process of this boot, so nothing is lost on
 * the way from one process to the other. A pid is verified by its start time before it is killed: a foreign process
 * with a reused pid is never killed.
 *
 * What is armed is saved to a file, so that a restarted fence goes on where the killed one was. It does not wait for
 * the file (a stalled disk must not delay a kill): what can be missing from it is the last extension, and then the
 * writer is killed at the deadline before that, which is early and safe; or a first arming or a shortening of the last
 * few milliseconds, which the agent repeats as soon as it reaches the new fence.
 *
 * With `--replace` it takes the place of a fence that answers: it learns what that one has armed and keeps those deadlines itself
 * before it ends it (fence-replace.ts).
 *
 * Behind it stands a shell that acts when fence and agent are both dead (last-guard.ts); this process checks that it is
 * there.
 *
 * What remains:
 * - Agent frozen *and* fence killed within one lease, or both frozen: neither kills, and the last guard does not act
 *   while one of them exists. On one machine the successor kills what it is about to replace (same-machine.ts).
 * - This process itself may be late on a starved machine, by milliseconds as measured; the agent leaves a margin
 *   between the deadline that it arms and the end of the lease.
 * - A process in uninterruptible sleep (state D) outlives SIGKILL until its system call returns.
 * - A whole machine that was paused (a suspended VM) goes on for a moment when it is resumed, before any timer of ours
 *   runs. The term is the fencing token for that: what the writer writes to refuses a lower term than it has seen.
 */
import { renameSync, rmSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { setPriority } from 'node:os'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { PROTOCOL, type Speaks } from '../core/protocol.ts'
import { ERRORS } from '../errors.ts'
import { faultLine, guarded, inBackground, onFault, reportFault, reportUnhandledRejections } from '../lib/background.ts'
import { type Cancel, systemClock } from '../lib/clock.ts'
import { writeFileUnsynced } from '../lib/files.ts'
import { handleLines, LineReader, toLine } from '../lib/json-lines.ts'
import { identify, isAlive, signal } from '../lib/proc.ts'
import { version } from '../lib/program-version.ts'
import { superviseLoop } from '../lib/supervised-loop.ts'
import { FenceBook } from './fence-book.ts'
import { kill } from './fence-kill.ts'
import { type Fenced, type FenceReply, type FenceRequest, isObject, parseRequest } from './fence-protocol.ts'
import { askWhatIsArmed } from './fence-replace.ts'
import {
  NOTHING_SAVED,
  newest,
  readSavedFile,
  type Saved,
  SavedFile,
  type SavedPlace,
  savedFiles,
} from './fence-saved.ts'
import { LastGuard } from './last-guard.ts'

const clock = systemClock
const SPEAKS: Speaks = { version: version(), protocol: PROTOCOL }
const ANSWERS_WITHIN_MS = 250
/** Between two looks at whether the last guard is there. */
const GUARD_EVERY_MS = 1_000

class Fence {
  readonly #book = new FenceBook()
  readonly #savedFile: SavedFile
  readonly #sockets = new Set<Socket>()
  readonly #guard: LastGuard | undefined
  #timer: Cancel = () => {}
  #saving: 'no' | 'yes' | 'again' = 'no'
  #leaving = false

  /** `pipe`: of the last guard; without one there is none. */
  constructor(place: SavedPlace, { armed, guard }: Saved, pipe: string | undefined) {
    this.#savedFile = new SavedFile(place)
    for (const one of armed) this.#book.arm(one)
    this.#look()
    this.#guard = pipe === undefined ? undefined : this.#guardBehind(pipe, guard)
    this.#guard?.keep()
    const keep = () => void this.#guard?.keep()
    superviseLoop({ clock, what: 'the look at the last guard', everyMs: GUARD_EVERY_MS, work: keep })
    this.#save()
  }

  #guardBehind(pipe: string, saved: Saved['guard']): LastGuard {
    const [armed, changed] = [() => this.#book.list(), () => this.#save()]
    return new LastGuard({ pipe, saved, armed, changed, log })
  }

  /** Talks to one agent. */
  serve(socket: Socket): void {
    const reader = new LineReader()
    this.#sockets.add(socket)
    socket.on('data', (chunk) => {
      const answer = (value: unknown) => socket.write(toLine(this.#answer(value)))
      if (!handleLines(reader, chunk, 'a request', answer)) socket.destroy()
    })
    socket.on('error', () => socket.destroy()) // an agent that died: what it armed stays armed
    socket.on('close', () => this.#sockets.delete(socket))
  }

  /** Ends as soon as nothing is armed, not before: whatever tells it to end may have forgotten a writer. */
  leave(): void {
    this.#leaving = true
    this.#look()
  }

  #answer(value: unknown): FenceReply {
    const request = parseRequest(value)
    if (!request) {
      const id = isObject(value) && typeof value.id === 'number' ? value.id : -1
      return { id, ok: false, error: 'not a request that a fence understands' }
    }
    if ('ping' in request) return { id: request.id, ok: true, armed: this.#book.list(), ...SPEAKS }
    this.#take(request)
    return { id: request.id, ok: true }
  }

  #take(request: Exclude<FenceRequest, { ping: true }>): void {
    this.#guard?.keep() // before it is acknowledged: what runs afterwards has all its guards
    if ('arm' in request) {
      this.#book.arm(request.arm)
      this.#guard?.arm(request.arm)
    } else {
      this.#book.disarm(request.disarm)
      this.#guard?.disarm(request.disarm)
    }
    this.#save()
    this.#look()
  }

  /** Kills what is due and sleeps until it must look again. */
  #look(): void {
    this.#timer()
    const due = this.#book.takeDue(clock.mono())
    try {
      const fenced = due.map(kill) // all of them first: a log file on a stalled disk must not come between
      for (const one of fenced) {
        this.#guard?.disarm(one)
        this.#tell(one)
      }
      if (due.length > 0) this.#save()
    } finally {
      const inMs = this.#book.lookInMs(clock.mono())
      if (inMs !== undefined) this.#timer = clock.after(inMs, () => guarded('a look', () => this.#look()))
      else if (this.#leaving) process.exit()
    }
  }

  #tell(fenced: Fenced): void {
    log({ event: 'fenced', by: 'fence', lateMs: Math.round((fenced.atMono - fenced.killAtMono) * 10) / 10, ...fenced })
    for (const socket of this.#sockets) socket.write(toLine({ fenced } satisfies FenceReply))
  }

  /** One save at a time, and one more when something changed meanwhile. */
  #save(): void {
    if (this.#saving !== 'no') {
      this.#saving = 'again'
      return
    }
    this.#saving = 'yes'
    const [fence, guard] = [identify(process.pid), this.#guard?.identity]
    const saved = { fence, guard, armed: this.#book.list(), savedAtMono: clock.mono() }
    inBackground(
      this.#savedFile
        .write(saved)
        .catch((error: unknown) => log({ event: 'not saved', error: String(error) }))
        .then(() => {
          const again = this.#saving === 'again'
          this.#saving = 'no'
          if (again) this.#save()
        }),
      'saving what is armed',
    )
  }
}

/**
 * A list that cannot be used must not keep the guard from its post: it is kept aside for an operator to see, and the agent arms
 * again what runs before it renews a lease.
 */
function readKept(path: string): Saved {
  return newest(savedFiles(path).map(readOrKeepAside))
}

function readOrKeepAside(file: string): Saved {
  try {
    return readSavedFile(file)
  } catch (error) {
    log({ event: 'the saved list cannot be used', error: (error as Error).message })
    renameSync(file, `${file}.unreadable`)
    return NOTHING_SAVED
  }
}

function log(line: object): void {
  process.stderr.write(toLine({ at: new Date(clock.wall()).toISOString(), ...line }))
}

function hurry(): void {
  try {
    setPriority(-10)
  } catch {
    // Only root may go first. Without it a kill may come some milliseconds later on a busy machine.
  }
}

const TEXT = { type: 'string' } as const
const FLAG = { type: 'boolean' } as const
const OPTIONS = { socket: TEXT, saved: TEXT, guard: TEXT, memory: FLAG, replace: FLAG } as const

async function main(): Promise<void> {
  const { values } = parseArgs({ options: OPTIONS })
  if (!values.socket || !values.saved) {
    log({ event: 'usage', usage: 'fence-process --socket PATH --saved PATH [--memory] [--guard PATH]' })
    process.exit(2)
  }
  process.umask(0o077)
  process.stderr.on('error', () => {}) // a full disk under the log file must not end the guard
  // Whatever goes wrong here, the guard stands: what is armed must be killed in time.
  onFault((what, error) => log({ event: 'fault', error: faultLine(what, error) }))
  reportUnhandledRejections()
  process.on('uncaughtException', (error) => reportFault('an event', error))
  hurry()
  const { socket, saved, guard, replace = false } = values
  const begin = (kept: Saved) => {
    const fence = new Fence({ path: saved, inMemory: values.memory ?? false }, kept, guard)
    process.on('SIGTERM', () => fence.leave())
    process.on('SIGINT', () => fence.leave())
    serve(fence, socket)
  }
  process.on('SIGHUP', () => {}) // a terminal that closes is no reason
  const isThere = await askWhatIsArmed(socket, clock, ANSWERS_WITHIN_MS, (armed) => {
    const kept = readKept(saved)
    const identity = replace ? identify(process.pid) : kept.fence
    if (identity && isAlive(identity)) writeFileUnsynced(join(dirname(saved), 'fence.json'), JSON.stringify(identity))
    if (!replace) return
    if (kept.fence) signal(kept.fence, 'SIGKILL')
    begin({ ...kept, armed })
  })
  if (isThere && replace) return
  if (isThere) {
    log({ event: 'already running', socket })
    process.exit(ERRORS.UND_ALREADY_RUNNING.exit)
  }
  const kept = readKept(saved)
  // A predecessor that does not answer may wake up later and kill by deadlines that have long been extended.
  if (kept.fence) signal(kept.fence, 'SIGKILL')
  begin(kept)
}

function serve(fence: Fence, socketPath: string): void {
  rmSync(socketPath, { force: true }) // a leftover: nothing answered there
  const server = createServer((socket) => fence.serve(socket))
  server.on('error', (error) => {
    log({ event: 'cannot listen', socket: socketPath, error: String(error) })
    process.exitCode = 1
    fence.leave() // after the last deadline that was saved
  })
  server.listen(socketPath)
}

await main()
