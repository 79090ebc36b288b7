/**
 * What happens until a change is done: its events, and one line of progress on a terminal. Ctrl-C ends the looking and nothing else.
 */
import type { Client, EventRecord, ServiceStatus, Status } from '../client/index.ts'
import { UnderstudyError } from '../errors.ts'
import { sleep, systemClock } from '../lib/clock.ts'
import { formatDuration } from '../lib/duration.ts'
import type { Io } from './io.ts'
import { eventLine } from './print/print-events.ts'
import { Screen } from './screen.ts'

/** Undefined: done. A sentence: what is waited for. `failed`: it will not be done. */
export type Progress = undefined | string | { readonly failed: string }

export interface Following {
  /** Events from before, which are no news. */
  readonly seen: Set<string>
  readonly json: boolean
  readonly timeoutMs: number
  /** What is so in the end: `shop runs with config 4`. */
  readonly goal: string
  /** Printed at Ctrl-C, a line each. */
  readonly onInterrupt: readonly string[]
  progress(status: Status): Progress
}

const LOOK_EVERY_MS = 200

/** Resolves to the exit code: 0 done, 1 failed, 130 after Ctrl-C. Rejects with UND_TIMED_OUT. Agents may come and go meanwhile. */
export async function followChange(io: Io, client: Client, following: Following): Promise<number> {
  const { seen, json, timeoutMs, goal, onInterrupt, progress } = following
  const screen = new Screen(io.tty && !json)
  let interrupted = false
  const unhear = io.onInterrupt(() => {
    interrupted = true
  })
  try {
    const deadline = systemClock.mono() + timeoutMs
    let waitsFor = 'the first answer'
    while (systemClock.mono() < deadline) {
      const news = await newEvents(client, seen)
      if (!json && news.length > 0) screen.close()
      if (!json) for (const event of news) io.out(eventLine(io, event))
      if (interrupted) {
        screen.close()
        if (!json) for (const line of onInterrupt) io.out(line)
        return 130
      }
      const status = await client.status().catch(() => undefined)
      const found = status === undefined ? waitsFor : progress(status)
      if (found === undefined || typeof found === 'object') screen.draw([])
      if (found === undefined) return 0
      if (typeof found === 'object') {
        screen.close()
        io.err(`${io.paint.red('understudy:')} ${found.failed}`)
        return 1
      }
      waitsFor = found
      screen.draw([io.paint.dim(`waiting: ${found}`)])
      await sleep(systemClock, LOOK_EVERY_MS)
    }
    throw new UnderstudyError(
      'UND_TIMED_OUT',
      `not done within ${formatDuration(timeoutMs)}: ${goal} (${waitsFor}); it goes on`,
    )
  } finally {
    unhear()
    screen.close()
  }
}

async function newEvents(client: Client, seen: Set<string>): Promise<readonly EventRecord[]> {
  const events: readonly EventRecord[] = await client.events().catch(() => [])
  const news = events.filter(({ id }) => !seen.has(id))
  for (const { id } of news) seen.add(id)
  return news
}

/** What is there already, so that it is not told as news. */
export async function eventsSoFar(client: Client): Promise<Set<string>> {
  return new Set((await client.events()).map(({ id }) => id))
}

/** Undefined: every instance of it runs as the config says, and clients are served. */
export function whatLacks(service: ServiceStatus): string | undefined {
  const { name, rollout, healthy, redundancyState, why } = service
  if (service.stopped) return undefined
  if (rollout) return `${name} is rolling: ${rollout.updated} of ${rollout.of} updated, ${rollout.why}`
  if (!healthy || redundancyState.state === 'unhealthy') return `${name} is not healthy yet: ${why}`
  return redundancyState.state === 'degraded' ? `${name} is not complete yet: ${redundancyState.summary}` : undefined
}
