/** Work that waits for virtual time, and time that goes on for as long as there is such work. */
import type { Clock } from '../../src/lib/clock.ts'
import type { VirtualClock } from '../../src/lib/virtual-clock.ts'
import type { Gate } from '../../src/sim/gate.ts'

/** Lets time pass until `work` is over, for `withinMs` at most. */
export async function during(clock: VirtualClock, work: Promise<void>, withinMs: number): Promise<void> {
  let isOver = false
  const end = () => {
    isOver = true
  }
  work.then(end, end)
  await clock.runUntil(clock.mono() + withinMs, () => isOver)
  await work
}

/** For work that is itself waited for by `during`: false when it did not come within `withinMs`. */
export function passUntil(clock: VirtualClock, done: () => boolean, withinMs: number): Promise<boolean> {
  const endsAt = clock.mono() + withinMs
  return new Promise((resolve) => {
    const look = () => {
      if (done()) resolve(true)
      else if (clock.mono() >= endsAt) resolve(false)
      else clock.after(2, look)
    }
    look()
  })
}

/** What a program behind the gate sees of the clock, on a node whose clock is the world's. */
export function throughGate(clock: VirtualClock, gate: Gate): Clock {
  return {
    mono: () => clock.mono(),
    wall: () => clock.wall(),
    after: (ms, fn) => gate.after(ms, fn),
  }
}
