/**
 * What `up` shows while a cluster runs: a live picture on a terminal, a line for each event elsewhere. Both learn about
 * the cluster from the HTTP API; only what the agents' processes do comes from their supervisor.
 */

import type { EventRecord, Status } from '../client/index.ts'
import { inBackground } from '../lib/background.ts'
import { systemClock } from '../lib/clock.ts'
import type { LocalEvent } from '../local/local-node.ts'
import type { LocalCluster } from '../local/start-cluster.ts'
import { printJsonLine } from './commands/command.ts'
import type { Io } from './io.ts'
import { frame } from './print/frame.ts'
import { eventLine } from './print/print-events.ts'
import { Screen } from './screen.ts'

export interface View {
  /** The cluster is there: show it. */
  open(cluster: LocalCluster): void
  /** Something that an agent did, or that happened to it. */
  local(event: LocalEvent): void
  /** Shows nothing more. */
  close(): void
}

const REDRAW_EVERY_MS = 250
const MOST_EVENTS = 100
/** More than any agent keeps. */
const MOST_KEPT = 10_000

/** What happens to agents, in the words that cluster events have. */
export function asEvent({ at, node, what, why }: LocalEvent): EventRecord {
  return { id: '', at, node, service: null, rule: what, kind: what === 'agent-died' ? 'noticed' : 'told', why }
}

export class LiveView implements View {
  readonly #io: Io
  readonly #screen = new Screen(true)
  readonly #events: EventRecord[] = []
  readonly #closed = new AbortController()
  #cluster: LocalCluster | undefined
  #status: Status | undefined
  #statusAt = systemClock.mono()

  constructor(io: Io) {
    this.#io = io
  }

  open(cluster: LocalCluster): void {
    this.#cluster = cluster
    inBackground(this.#look(cluster), 'drawing')
    inBackground(
      follow(cluster, this.#closed.signal, (event) => this.#keep(event)),
      'following events',
    )
    process.stdout.on('resize', this.#resized)
  }

  local(event: LocalEvent): void {
    this.#keep(asEvent(event))
  }

  close(): void {
    if (this.#closed.signal.aborted) return
    this.#draw()
    this.#closed.abort()
    process.stdout.off('resize', this.#resized)
    this.#screen.close()
  }

  readonly #resized = () => {
    this.#screen.forget()
    this.#draw()
  }

  async #look(cluster: LocalCluster): Promise<void> {
    while (!this.#closed.signal.aborted) {
      const status = await cluster.client.status().catch(() => undefined)
      if (status) {
        this.#status = status
        this.#statusAt = systemClock.mono()
      }
      this.#draw()
      await new Promise((resolve) => setTimeout(resolve, REDRAW_EVERY_MS))
    }
  }

  #keep(event: EventRecord): void {
    this.#events.push(event)
    if (this.#events.length > MOST_EVENTS) this.#events.shift()
    this.#draw()
  }

  #draw(): void {
    if (!this.#cluster || this.#closed.signal.aborted) return
    const { spec, nodes: phases } = this.#cluster
    const statusAgeMs = systemClock.mono() - this.#statusAt
    const picture = { spec, phases, status: this.#status, statusAgeMs, events: this.#events }
    this.#screen.draw(frame(this.#io, picture))
  }
}

/** A line for each event, as text or as JSON. */
export class PlainView implements View {
  readonly #print: (event: EventRecord) => void
  readonly #closed = new AbortController()

  constructor(io: Io, json: boolean) {
    this.#print = (event) => (json ? printJsonLine(io, event) : io.out(eventLine(io, event)))
  }

  open(cluster: LocalCluster): void {
    inBackground(follow(cluster, this.#closed.signal, this.#print), 'following events')
  }

  local(event: LocalEvent): void {
    if (!this.#closed.signal.aborted) this.#print(asEvent(event))
  }

  close(): void {
    this.#closed.abort()
  }
}

/** All that happens from now on, also before the first agent answers; what is kept from an earlier `up` is no news. */
async function follow({ client }: LocalCluster, signal: AbortSignal, tell: (event: EventRecord) => void) {
  const since = new Date().toISOString()
  try {
    for await (const event of client.follow({ signal, last: MOST_KEPT })) if (event.at >= since) tell(event)
  } catch (error) {
    // Events are output; a cluster whose events cannot be read still has to be supervised.
    tell({
      id: '',
      at: new Date().toISOString(),
      node: '-',
      service: null,
      rule: 'events',
      kind: 'failed',
      why: String(error),
    })
  }
}
