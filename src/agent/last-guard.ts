/**
 * The last guard of single writers: a shell that kills them at their deadline when neither their agent nor their fence lives.
 * One for each node, started by the fence; asleep until then.
 *
 * It reads a named pipe that the fence and the agent both hold open for writing. The kernel closes what a dead process held,
 * so the shell reads end-of-file exactly when both are dead, at that moment and whatever killed them: no timer, no polling,
 * no message that could be lost. As long as one of them lives, that one guards, and the death of either alone harms nothing.
 *
 * A shell and not a program of ours: it must not end with whatever ends those (an OOM killer that looks for the largest, `pkill
 * node`), needs half a megabyte, and is everywhere. It kills the whole group of a writer, so it reaches what a parent-death
 * signal (PR_SET_PDEATHSIG) does not: the children of a shell, programs of another user.
 *
 * Traps:
 * - Its own descriptor of the pipe is read-only, or it would never see the end of it.
 * - The deadline is told on the clock of /proc/uptime, which a shell can read. That clock counts time in which the machine was
 *   suspended and the fence's does not, so it is only looked at when both guards are dead: then early is right.
 * - A program's name may hold blanks, parentheses and line feeds: the start time is counted from the last parenthesis.
 */
import { execFileSync, spawn } from 'node:child_process'
import { closeSync, constants, fstatSync, openSync, readFileSync, rmSync, statSync, writeSync } from 'node:fs'
import { type Clock, systemClock } from '../lib/clock.ts'
import { identify, livingState, type ProcessIdentity, signal } from '../lib/proc.ts'
import type { Stop } from '../lib/stop.ts'
import { isStopped, StoppedSpell } from '../lib/stopped-spell.ts'
import { superviseLoop } from '../lib/supervised-loop.ts'
import type { Armed } from './fence-protocol.ts'

const clock = systemClock
const { O_NONBLOCK, O_RDONLY, O_WRONLY } = constants
/** Between two looks of an agent at whether it holds the pipe that the present guard reads. */
const HOLD_EVERY_MS = 250

const SCRIPT = `
trap '' HUP INT TERM
armed=
forget() {
  kept=
  for one in $armed; do
    case $one in "$1/$2/"*) ;; *) kept="$kept $one" ;; esac
  done
  armed=$kept
}
kill_group() {
  pid=$1 start=$2 service=$3
  stat=$(cat "/proc/$pid/stat" 2>/dev/null)
  if [ -n "$stat" ]; then
    stat=\${stat##*)}
    set -- $stat
    [ "\${20}" = "$start" ] || return 0
  fi
  kill -s KILL -- "-$pid" 2>/dev/null || { [ -n "$stat" ] && kill -s KILL "$pid" 2>/dev/null; } || return 0
  printf '{"event":"fenced","by":"guard","service":"%s","pid":%s,"startTime":%s}\\n' "$service" "$pid" "$start" >&2
}
while :; do
  while IFS=' ' read -r word pid start due service; do
    case $word in
      arm) forget "$pid" "$start"; armed="$armed $pid/$start/$due/$service" ;;
      off) forget "$pid" "$start" ;;
      quit) exit 0 ;;
    esac
  done
  [ -n "$armed" ] || exit 0
  IFS=' ' read -r up idle </proc/uptime
  now=\${up%.*}\${up#*.}
  left=
  for one in $armed; do
    pid=\${one%%/*} rest=\${one#*/}
    start=\${rest%%/*} rest=\${rest#*/}
    due=\${rest%%/*} service=\${rest#*/}
    if [ "$due" -le "$now" ]; then kill_group "$pid" "$start" "$service"; else left="$left $one"; fi
  done
  armed=$left
  [ -z "$armed" ] || sleep 0.05 || :
done
`

export interface LastGuardParts {
  /** Where the named pipe is made. */
  readonly pipe: string
  /** The guard that an earlier fence kept. */
  readonly saved: ProcessIdentity | undefined
  /** Everything that is armed now: said to each new guard. */
  armed(): readonly Armed[]
  /** It is another process now, which is to be saved. */
  changed(): void
  log(line: object): void
}

/** The fence's side: sees that a guard is there and tells it every deadline. */
export class LastGuard {
  readonly #parts: LastGuardParts
  #file: number | undefined
  #shell: ProcessIdentity | undefined
  #stopped = new StoppedSpell()

  constructor(parts: LastGuardParts) {
    this.#parts = parts
    this.#shell = parts.saved
    this.#takeOver()
  }

  get identity(): ProcessIdentity | undefined {
    return this.#shell
  }

  /** False when there is no guard and none can be started: then a writer has two guards and not three. */
  keep(): boolean {
    const state = this.#shell && livingState(this.#shell)
    const stuck = state !== undefined && this.#stopped.sighting(isStopped(state), clock.mono()) === true
    if (state && !stuck && this.#file !== undefined) return true
    return this.#start()
  }

  arm({ pid, startTime, killAtMono, service }: Armed): void {
    const due = Math.floor((uptimeMs() + killAtMono - clock.mono()) / 10)
    this.#say(`arm ${pid} ${startTime} ${due} ${service}`)
  }

  disarm({ pid, startTime }: ProcessIdentity): void {
    this.#say(`off ${pid} ${startTime}`)
  }

  #takeOver(): void {
    if (!this.#shell || !livingState(this.#shell)) return
    this.#file = openIfRead(this.#parts.pipe)
    if (this.#file !== undefined) for (const one of this.#parts.armed()) this.arm(one)
  }

  #start(): boolean {
    const { pipe, log, changed } = this.#parts
    if (this.#shell) signal(this.#shell, 'SIGKILL') // it is frozen, or reads a pipe that cannot be opened any more
    this.#shell = undefined
    this.#close()
    try {
      dismiss(pipe)
      rmSync(pipe, { force: true })
      execFileSync('mkfifo', ['-m', '600', pipe], { stdio: 'ignore' })
      this.#shell = this.#spawn()
    } catch (error) {
      log({ event: 'no last guard', error: String(error) })
    }
    if (!this.#shell) return false
    this.#stopped = new StoppedSpell()
    for (const one of this.#parts.armed()) this.arm(one)
    changed()
    return true
  }

  /** A reader that does not wait lets the writer open; only then is there a reader that waits and sees no end. */
  #spawn(): ProcessIdentity | undefined {
    const { pipe } = this.#parts
    const first = openSync(pipe, O_RDONLY | O_NONBLOCK)
    this.#file = openSync(pipe, O_WRONLY | O_NONBLOCK)
    const input = openSync(pipe, O_RDONLY)
    closeSync(first)
    // The script travels in the environment, so that a list of processes shows what it is and not how it works.
    const { PATH = '/usr/bin:/bin', UNDERSTUDY_NODE_FOLDER } = process.env
    const mark = UNDERSTUDY_NODE_FOLDER === undefined ? {} : { UNDERSTUDY_NODE_FOLDER } // by which `down` finds it
    const child = spawn('/bin/sh', ['-c', 'eval "$SCRIPT"', 'single-writer-guard'], {
      cwd: '/',
      env: { PATH, ...mark, SCRIPT },
      detached: true,
      stdio: [input, 'ignore', 'inherit'],
    })
    closeSync(input)
    child.on('error', () => {}) // no pid then: the next look tries again
    child.unref()
    return child.pid === undefined ? undefined : identify(child.pid)
  }

  #say(line: string): void {
    if (this.#file === undefined) return
    try {
      writeSync(this.#file, `${line}\n`)
    } catch {
      this.#close() // no guard reads it, or none empties it: the next look starts another
    }
  }

  #close(): void {
    if (this.#file !== undefined) closeSync(this.#file)
    this.#file = undefined
  }
}

/** The agent's side: holds the pipe open, so that the guard does not act while this agent lives. */
export function holdGuard(pipe: string, holdClock: Clock = clock): Stop {
  let file: number | undefined
  const letGo = () => {
    if (file !== undefined) closeSync(file)
    file = undefined
  }
  const look = () => {
    const now = statSync(pipe, { throwIfNoEntry: false })?.ino
    if (file !== undefined && fstatSync(file).ino === now) return
    const before = file
    file = now === undefined ? before : (openIfRead(pipe) ?? before)
    if (before !== undefined && before !== file) closeSync(before)
  }
  look()
  const { stop } = superviseLoop({
    clock: holdClock,
    what: 'the hold of the guard',
    everyMs: HOLD_EVERY_MS,
    work: look,
  })
  return () => {
    stop()
    letGo()
  }
}

/** A guard that no file names any more would act on deadlines that are not renewed there. */
function dismiss(pipe: string): void {
  const file = openIfRead(pipe)
  if (file === undefined) return
  try {
    writeSync(file, 'quit\n')
  } finally {
    closeSync(file)
  }
}

/** For writing, without waiting; undefined when no guard reads it. */
function openIfRead(pipe: string): number | undefined {
  try {
    return openSync(pipe, O_WRONLY | O_NONBLOCK)
  } catch {
    return undefined // there is no such pipe, or its reader has died
  }
}

function uptimeMs(): number {
  return Number(readFileSync('/proc/uptime', 'latin1').split(' ')[0]) * 1_000
}
