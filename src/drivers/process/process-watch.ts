/**
 * First-hand evidence about one process: that it ended, and that it was stopped by a signal.
 *
 * A parent is told of an exit by the kernel, with code and signal. A process adopted from an earlier agent is not our
 * child, and Node has no way to wait for another's child, so every 20 ms the kernel is asked whether its pid is taken (1 µs),
 * and /proc is read every 100 ms (20 µs) for what that cannot tell: a corpse, a number given out again, a hang.
 *
 * A stopped process answers nothing, yet its sockets accept connections: it counts as hung (lib/stopped-spell.ts).
 */
import type { ChildProcess } from 'node:child_process'
import type { Cancel, Clock } from '../../lib/clock.ts'
import { type ProcessIdentity, pidIsTaken, processState } from '../../lib/proc.ts'
import type { Stop } from '../../lib/stop.ts'
import { isStopped, StoppedSpell } from '../../lib/stopped-spell.ts'
import { superviseLoop } from '../../lib/supervised-loop.ts'
import type { Ending } from './ending.ts'

const GLANCE_EVERY_MS = 20
const LOOK_EVERY_MS = 100

export interface WatchRequest {
  readonly identity: ProcessIdentity
  /** Null when an earlier agent was its parent. */
  readonly child: ChildProcess | null
  readonly clock: Clock
  /** Called once. Nothing is called after it. */
  onEnd(ending: Ending): void
  onHung(hung: boolean): void
}

export function watchProcess(request: WatchRequest): Stop {
  const { identity, child, clock } = request
  const stoppedFor = new StoppedSpell()
  let timer: Cancel = () => {}
  let over = false
  let lookedAtMono = Number.NEGATIVE_INFINITY

  const end = (ending: Ending) => {
    if (over) return
    stop()
    request.onEnd(ending)
  }
  const onExit = (code: number | null, signal: NodeJS.Signals | null) => end({ seen: 'exit', code, signal })
  const look = () => {
    lookedAtMono = clock.mono()
    const state = processState(identity.pid)
    const gone = !state || state.startTime !== identity.startTime || state.letter === 'Z' || state.letter === 'X'
    if (gone && !child) return end({ seen: 'gone' })
    const changed = stoppedFor.sighting(!gone && isStopped(state), lookedAtMono)
    if (changed !== undefined) request.onHung(changed)
  }
  const turn = () => {
    const glanceIsEnough = !child && clock.mono() - lookedAtMono < LOOK_EVERY_MS && pidIsTaken(identity.pid)
    if (!glanceIsEnough) look()
  }
  const stop = () => {
    over = true
    timer()
    child?.off('exit', onExit)
  }

  child?.once('exit', onExit)
  if (child && (child.exitCode !== null || child.signalCode !== null)) onExit(child.exitCode, child.signalCode)
  else {
    const rhythm = child ? { everyMs: LOOK_EVERY_MS } : { everyMs: GLANCE_EVERY_MS, firstMs: 0 }
    const what = `the look at process ${identity.pid}`
    timer = superviseLoop({ clock, what, ...rhythm, isAligned: true, work: turn }).stop
  }
  return stop
}
