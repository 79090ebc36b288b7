/**
 * First-hand evidence about one process: that it ended, and that it was stopped by a signal.
 *
 * A parent is told of an exit by the kernel, with code and signal. A process adopted from an earlier agent is not our
 * child, and Node has no way to wait for another's child, so /proc is read every 20 ms; that costs about 20 µs each.
 *
 * A stopped process answers nothing, yet its sockets accept connections: it counts as hung (lib/stopped-spell.ts).
 */
import type { ChildProcess } from 'node:child_process'
import type { Cancel, Clock } from '../../lib/clock.ts'
import { type ProcessIdentity, processState } from '../../lib/proc.ts'
import type { Stop } from '../../lib/stop.ts'
import { isStopped, StoppedSpell } from '../../lib/stopped-spell.ts'
import type { Ending } from './ending.ts'

const POLL_ADOPTED_MS = 20
const POLL_CHILD_MS = 100

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

  const end = (ending: Ending) => {
    if (over) return
    stop()
    request.onEnd(ending)
  }
  const onExit = (code: number | null, signal: NodeJS.Signals | null) => end({ seen: 'exit', code, signal })
  const look = () => {
    const state = processState(identity.pid)
    const gone = !state || state.startTime !== identity.startTime || state.letter === 'Z' || state.letter === 'X'
    if (gone && !child) return end({ seen: 'gone' })
    const changed = stoppedFor.sighting(!gone && isStopped(state), clock.mono())
    if (changed !== undefined) request.onHung(changed)
    if (!over) timer = clock.after(child ? POLL_CHILD_MS : POLL_ADOPTED_MS, look)
  }
  const stop = () => {
    over = true
    timer()
    child?.off('exit', onExit)
  }

  child?.once('exit', onExit)
  if (child && (child.exitCode !== null || child.signalCode !== null)) onExit(child.exitCode, child.signalCode)
  else timer = clock.after(child ? POLL_CHILD_MS : 0, look)
  return stop
}
