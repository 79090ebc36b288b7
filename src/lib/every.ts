import type { Cancel, Clock } from './clock.ts'

/** Runs `fn` again and again, `ms` after it last ran; the first time `ms` from now. */
export function every(clock: Clock, ms: number, fn: () => void): Cancel {
  let cancel: Cancel = () => undefined
  const next = () => {
    cancel = clock.after(ms, () => {
      fn()
      next()
    })
  }
  next()
  return () => cancel()
}
