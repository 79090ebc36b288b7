/** How a guard kills: the whole group of exactly this process, and never another process that got its number since. */
import { systemClock as clock } from '../lib/clock.ts'
import { processState, signal, signalGroup } from '../lib/proc.ts'
import type { Armed, Fenced } from './fence-protocol.ts'

export function kill(armed: Armed): Fenced {
  const present = processState(armed.pid)
  const reused = present !== undefined && present.startTime !== armed.startTime
  const atMono = clock.mono()
  return { ...armed, atMono, outcome: reused ? 'another' : killGroup(armed) }
}

function killGroup(armed: Armed): Fenced['outcome'] {
  try {
    // A leader that has ended may have left others behind; as long as one of them lives, its number is not reused.
    const something = signalGroup(armed.pid, 'SIGKILL')
    const alone = signal(armed, 'SIGKILL') // when it leads no group of its own
    return something || alone ? 'killed' : 'gone'
  } catch {
    return 'not-permitted' // another user's process: logged and reported to the agent, since nothing else can be done
  }
}
