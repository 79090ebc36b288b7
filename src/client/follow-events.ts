/**
 * Events without end, over the death of any node: when the agent that tells them goes away, the next one goes on from
 * the same place (the `id` of the last message). The reader sees neither a gap nor a repetition, as long as the cluster
 * keeps the events that were missed.
 */
import type { EventRecord } from '../api/api-types.ts'
import { UnderstudyError } from '../errors.ts'
import type { Nodes } from './ask-nodes.ts'
import { EventStreamParser } from './sse.ts'

export interface FollowOptions {
  /** Ends the iteration, without an error. */
  readonly signal?: AbortSignal
  /** How many of the events that are kept come first. Default 0: only what happens from now on. */
  readonly last?: number
  /** Told when no agent answers; following goes on trying. */
  readonly onAway?: (error: Error) => void
}

/** Agents send a sign of life every 10 s: more than two missed mean that this one is gone without saying so. */
const SILENCE_MS = 25_000
const CONNECT_MS = 1_000
const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 2_000

/** Throws only what trying again cannot mend: UND_UNAUTHORIZED and refusals of that kind. */
export async function* follow(nodes: Nodes, options: FollowOptions): AsyncGenerator<EventRecord, void, void> {
  const { signal, last = 0, onAway = () => {} } = options
  let place: string | undefined
  let pauseMs = FIRST_PAUSE_MS
  while (!signal?.aborted) {
    try {
      for await (const message of readOnce(nodes, place, last, signal)) {
        pauseMs = FIRST_PAUSE_MS
        place = message.id ?? place
        if (message.data !== '') yield JSON.parse(message.data) as EventRecord
      }
    } catch (error) {
      if (signal?.aborted) return
      if (error instanceof UnderstudyError && !error.retryable) throw error
      if (error instanceof UnderstudyError) onAway(error)
    }
    nodes.avoidLast()
    await pause(pauseMs, signal)
    pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)
  }
}

/** One agent, until it goes away. */
async function* readOnce(nodes: Nodes, place: string | undefined, last: number, signal: AbortSignal | undefined) {
  const gone = new AbortController()
  const response = await nodes.ask({
    method: 'GET',
    path: `/v1/events?follow=1&last=${last}`,
    headers: { accept: 'text/event-stream', ...(place === undefined ? {} : { 'last-event-id': place }) },
    timeoutMs: CONNECT_MS,
    repeatable: true,
    stream: true,
    signal: signal ? AbortSignal.any([signal, gone.signal]) : gone.signal,
  })
  if (!response.body) return
  const parser = new EventStreamParser()
  const text = new TextDecoder()
  let silent = setTimeout(() => gone.abort(), SILENCE_MS)
  try {
    for await (const bytes of response.body) {
      clearTimeout(silent)
      silent = setTimeout(() => gone.abort(), SILENCE_MS)
      yield* parser.push(text.decode(bytes as Uint8Array, { stream: true }))
    }
  } finally {
    clearTimeout(silent)
    gone.abort() // also when the reader stops iterating: the connection must not stay open behind its back
  }
}

function pause(delayMs: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve()
    const done = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, delayMs)
    signal?.addEventListener('abort', done)
  })
}
