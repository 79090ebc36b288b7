/**
 * A steady load: so many requests a second, each at its moment, whether or not the ones before it were answered. Loads
 * that wait for an answer before they send the next request (closed loops) slow down together with what they measure and hide
 * the very pauses that one wants to see; "coordinated omission" is the name of that mistake (Gil Tene). Latency is
 * counted from the moment at which a request was due, so that our own lateness is not hidden either.
 */
import { Agent, request } from 'node:http'
import { performance } from 'node:perf_hooks'
import { systemClock } from './clock.ts'
import { superviseLoop } from './supervised-loop.ts'

export interface LoadPlan {
  /** Requests go to these in turn: `http://host:port/path`. */
  readonly urls: readonly string[]
  readonly method: string
  readonly perSecond: number
  /** Sent with each request, when given. */
  readonly body?: (index: number) => string
  readonly headers?: (index: number) => Record<string, string>
  /** When a request counts as failed without an answer. Default 15 s. */
  readonly timeoutMs?: number
}

export interface Shot {
  readonly index: number
  readonly method: string
  /** When it was due, in milliseconds since the load began. */
  readonly atMs: number
  /** From the moment it was due to the end of the answer, or to the failure. */
  readonly tookMs: number
  /** The answer's status; undefined when there was none. */
  readonly status: number | undefined
  /** The system's or Node's error code when there was no whole answer. */
  readonly error: string | undefined
  readonly body: string
}

export interface Load {
  /** When it began, on the clock of `performance.now()`. */
  readonly beganMs: number
  /** No further requests; resolves to all of them when the last one has ended. */
  stop(): Promise<readonly Shot[]>
  /** Those that have ended so far. */
  readonly shots: readonly Shot[]
}

const DEFAULT_TIMEOUT_MS = 15_000

export function startLoad(plan: LoadPlan): Load {
  const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY })
  const shots: Shot[] = []
  const began = performance.now()
  const gapMs = 1_000 / plan.perSecond
  let sent = 0
  let open = 0
  let ended: (() => void) | undefined
  const fire = (index: number): void => {
    open += 1
    shoot(plan, agent, index, began + index * gapMs, began, (shot) => {
      shots.push(shot)
      open -= 1
      if (open === 0) ended?.()
    })
  }
  // One timer for all: each tick sends everything that has become due, also after a pause of our own.
  const work = () => {
    for (const due = Math.floor((performance.now() - began) / gapMs); sent <= due; sent++) fire(sent)
  }
  const loop = superviseLoop({ clock: systemClock, what: 'sending', everyMs: 1, work })
  return {
    beganMs: began,
    shots,
    async stop() {
      loop.stop()
      if (open > 0) await new Promise<void>((resolve) => (ended = resolve))
      agent.destroy()
      return shots
    },
  }
}

function shoot(
  plan: LoadPlan,
  agent: Agent,
  index: number,
  dueMs: number,
  beganMs: number,
  done: (shot: Shot) => void,
): void {
  const body = plan.body?.(index)
  const headers = {
    ...plan.headers?.(index),
    ...(body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }),
  }
  let over = false
  const end = (status: number | undefined, error: string | undefined, text: string): void => {
    if (over) return
    over = true
    clearTimeout(timer)
    const tookMs = performance.now() - dueMs
    done({ index, method: plan.method, atMs: dueMs - beganMs, tookMs, status, error, body: text })
  }
  const url = plan.urls[index % plan.urls.length] ?? ''
  const outgoing = request(url, { agent, method: plan.method, headers }, (incoming) => {
    let text = ''
    incoming.setEncoding('utf8')
    incoming.on('data', (part: string) => {
      text += part
    })
    incoming.on('end', () => end(incoming.statusCode, undefined, text))
    incoming.on('error', (error: NodeJS.ErrnoException) => end(incoming.statusCode, error.code ?? error.message, text))
  })
  const timer = setTimeout(() => {
    end(undefined, 'TIMED_OUT', '')
    outgoing.destroy()
  }, plan.timeoutMs ?? DEFAULT_TIMEOUT_MS)
  outgoing.on('error', (error: NodeJS.ErrnoException) => end(undefined, error.code ?? error.message, ''))
  outgoing.end(body)
}

/** Neither answered with a success nor with a redirect. */
export function failed(shot: Shot): boolean {
  return shot.error !== undefined || shot.status === undefined || shot.status >= 400
}

export interface LoadSummary {
  readonly requests: number
  readonly failed: number
  readonly slowestMs: number
  readonly medianMs: number
}

export function summarize(shots: readonly Shot[]): LoadSummary {
  const sorted = shots.map((shot) => shot.tookMs).sort((a, b) => a - b)
  return {
    requests: shots.length,
    failed: shots.filter(failed).length,
    slowestMs: sorted.at(-1) ?? 0,
    medianMs: sorted[Math.floor(sorted.length / 2)] ?? 0,
  }
}
