/**
 * What an instance prints goes through a named pipe to a shell of its own, which writes it into the log and rotates. So the
 * log has a bound that holds at any speed, the agent moves none of it, and neither the agent's death nor its absence matters.
 *
 *   instance ──▶ NAME.pipe ──▶ log writer (sh, dd) ──▶ NAME.log, .1, .2, …
 *
 * - The bound is the kernel's: the writer's file size limit (`ulimit -f`) is the size of one log. What would go beyond it is
 *   refused, and then the logs are renamed and a new one is begun. A program that prints faster than the writer writes waits.
 * - The instance holds its end of the pipe for reading, too. So the death of the writer is no broken pipe for it: it
 *   can print 64 KiB until the agent, which looks once a second, has started another writer, and waits when that is full.
 * - The writer ends when the last process of the instance has closed its end: it reads everything that was printed. Without
 *   a log that can be written it reads on, too, or it would neither see that end nor let the instance go on: what is
 *   printed is lost then. With its folder gone there will be no log again, and then SIGTERM ends it as well.
 *
 * Clients may be waiting for the program, so nothing of this comes before it: the pipe is made when the agent starts, and the
 * writer is started when the program has begun. Until then the agent holds the pipe open, so what is printed stays in it.
 *
 * What can be lost: up to 4 KiB at each rotation, which is the end of one line for a program that prints lines, and what was
 * in the hands of a writer that was killed. A program that must not lose a line writes its own log.
 */
import { execFile, spawn } from 'node:child_process'
import { closeSync, constants, existsSync, mkdirSync, openSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { promisify } from 'node:util'
import type { Clock } from '../../lib/clock.ts'
import { readJson } from '../../lib/files.ts'
import { identify, isAlive, type ProcessIdentity } from '../../lib/proc.ts'
import type { Stop } from '../../lib/stop.ts'
import { superviseLoop } from '../../lib/supervised-loop.ts'
import { inStateFolder, writeState } from './state-writes.ts'

const { O_RDONLY, O_RDWR } = constants
/** Between two looks at whether the writer is there. */
const LOOK_EVERY_MS = 1_000
/** What `ulimit -f` counts in. */
const BLOCK_BYTES = 512

/** `dd` and not `cat`: it reads 4 KiB at a time, so no more than that is at stake when the limit is reached. */
const SCRIPT = `
trap '' HUP INT QUIT TERM XFSZ
umask 027
log=$1 blocks=$2 files=$3
rotate() {
  if [ "$files" -eq 0 ]; then ( : >"$log" ); return; fi
  age=$files
  rm -f "$log.$age" "$log.$((files + 1))"
  while [ "$age" -gt 1 ]; do
    [ ! -e "$log.$((age - 1))" ] || mv -f "$log.$((age - 1))" "$log.$age"
    age=$((age - 1))
  done
  mv -f "$log" "$log.1"
}
while :; do
  (
    ulimit -f "$blocks" || exit 1
    exec dd bs=4096 2>/dev/null >>"$log"
  ) && exit 0
  [ -d "\${log%/*}" ] || { trap - HUP INT QUIT TERM; exec cat >/dev/null; }
  size=$(wc -c 2>/dev/null <"$log") || size=0
  if [ "$size" -ge $((blocks * 512)) ]; then rotate && continue; fi
  sleep 0.2 || sleep 1
  case $(dd bs=4096 count=1 2>&1 >/dev/null) in 0+0*) exit 0 ;; esac
done
`

export interface LogPlace {
  readonly path: string
  /** How large one log may become. */
  readonly bytes: number
  /** How many earlier ones are kept. */
  readonly files: number
}

/** What an instance prints into. */
export interface OpenLog {
  /** A descriptor to give to a child, until `begin` or `close`. */
  readonly file: number
  /** Starts the writer: to be called when the child has its descriptor and the program may run. Never throws. */
  begin(): void
  /** For an instance that never ran. May come again, and after `begin`. */
  close(): void
}

/** Rejects when there is no pipe and none can be made. */
export async function openLog(log: LogPlace): Promise<OpenLog> {
  const pipe = pipeOf(log)
  const former = writerOf(log)
  inStateFolder(log.path, () => {
    mkdirSync(dirname(log.path), { recursive: true })
    // A writer that still reads the last words of the instance before keeps that pipe for itself.
    if (former && isAlive(former)) rmSync(pipe, { force: true })
  })
  if (!existsSync(pipe)) await makePipes([pipe])
  const file = inStateFolder(pipe, () => openSync(pipe, O_RDWR))
  let isOpen = true
  const close = () => {
    if (isOpen) closeSync(file)
    isOpen = false
  }
  const begin = () => {
    const writer = writerOf(log)
    const isThere = writer && writer.pid !== former?.pid && isAlive(writer) // the gate was closed for a second
    if (!isThere) startWriterIfPossible(log)
    close()
  }
  return { file, begin, close }
}

/** The pipes that were asked for in this moment: one process makes them all. */
const missing = new Set<string>()
let making: Promise<void> | undefined

/** Makes the pipe ahead, so that a failover need not start a process for it. Never rejects: `openLog` says what is wrong. */
export async function prepareLog(log: LogPlace): Promise<void> {
  const pipe = pipeOf(log)
  if (existsSync(pipe)) return
  missing.add(pipe)
  making ??= Promise.resolve().then(async () => {
    const pipes = [...missing]
    missing.clear()
    making = undefined
    try {
      for (const path of pipes) mkdirSync(dirname(path), { recursive: true })
      await makePipes(pipes)
    } catch {
      // A state folder that cannot be written to: the first start says so.
    }
  })
  await making
}

async function makePipes(pipes: readonly string[]): Promise<void> {
  await promisify(execFile)('mkfifo', ['-m', '600', ...pipes])
}

/** Sees that a running instance has a log writer. */
export function keepLogWriter(clock: Clock, log: LogPlace): Stop {
  const look = () => {
    const writer = writerOf(log)
    if (existsSync(pipeOf(log)) && !(writer && isAlive(writer))) startWriterIfPossible(log)
  }
  const what = `the look at the writer of ${log.path}`
  return superviseLoop({ clock, what, everyMs: LOOK_EVERY_MS, isAligned: true, work: look }).stop
}

function startWriterIfPossible(log: LogPlace): void {
  try {
    startWriter(log)
  } catch {
    // Out of processes or descriptors: the next look tries again, and until then the pipe holds what is printed.
  }
}

function startWriter(log: LogPlace): void {
  const pipe = pipeOf(log)
  const holder = openSync(pipe, O_RDWR) // with a writer at the other end, opening for reading does not wait
  const input = openSync(pipe, O_RDONLY)
  try {
    const blocks = Math.max(1, Math.floor(log.bytes / BLOCK_BYTES))
    const words = ['-c', 'eval "$SCRIPT"', 'log-writer', log.path, `${blocks}`, `${log.files}`]
    const child = spawn('/bin/sh', words, {
      cwd: '/',
      env: { PATH: process.env.PATH ?? '/usr/bin:/bin', SCRIPT },
      detached: true,
      stdio: [input, 'ignore', 'ignore'],
    })
    child.on('error', () => {}) // no pid then: the next look tries again
    child.unref()
    const identity = child.pid === undefined ? undefined : identify(child.pid)
    if (identity) writeState(writerFileOf(log), `${JSON.stringify(identity)}\n`)
  } finally {
    closeSync(input)
    closeSync(holder)
  }
}

function writerOf(log: LogPlace): ProcessIdentity | undefined {
  try {
    return readJson(writerFileOf(log)) as ProcessIdentity | undefined
  } catch {
    return undefined // two writers of one log do no harm; none would stop the instance
  }
}

function pipeOf({ path }: LogPlace): string {
  return path.replace(/\.log$/, '.pipe')
}

function writerFileOf({ path }: LogPlace): string {
  return path.replace(/\.log$/, '.writer.json')
}
