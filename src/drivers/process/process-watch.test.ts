import { expect, it } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import { identify } from '../../lib/proc.ts'
import type { Ending } from './ending.ts'
import { watchProcess } from './process-watch.ts'

it('a process with the pid of the one that is watched, but started at another time, is not the one', async () => {
  const identity = { pid: process.pid, startTime: (identify(process.pid)?.startTime ?? 0) - 1 }
  const ending = await new Promise<Ending>((onEnd) => {
    watchProcess({ identity, child: null, clock: systemClock, onEnd, onHung: () => {} })
  })
  expect(ending).toEqual({ seen: 'gone' })
})
