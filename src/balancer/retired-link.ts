/** How a balancer that has handed over hears of tables and secrets: from its successor, or from whichever balancer is there by then. */
import { connect, type Socket } from 'node:net'
import { handleLines, LineReader, toLine } from '../lib/json-lines.ts'
import { fieldsOf } from '../lib/shapes.ts'
import type { FromBalancer } from './balancer-messages.ts'
import type { FromPredecessor } from './predecessors.ts'

export interface RetiredDuties {
  onTable(table: unknown): void
  onSecrets(secrets: unknown): void
  onDrainAndExit(): void
  onConnected(): void
}

const AGAIN_MS = 100
const FLUSHED_WITHIN_MS = 200

export class RetiredLink {
  readonly #path: string
  readonly #duties: RetiredDuties
  #socket: Socket | undefined
  #isOver = false

  /** Connects at once, and again for as long as this process lives. */
  constructor(path: string, duties: RetiredDuties) {
    this.#path = path
    this.#duties = duties
    this.#dial()
  }

  tell(message: FromPredecessor | FromBalancer): void {
    if (this.#socket?.readyState === 'open') this.#socket.write(toLine(message))
  }

  /** Resolves when what was told is on its way, or could not be. */
  end(): Promise<void> {
    this.#isOver = true
    const socket = this.#socket
    if (socket?.readyState !== 'open') return Promise.resolve()
    return new Promise((resolve) => {
      const late = setTimeout(resolve, FLUSHED_WITHIN_MS)
      socket.end(() => {
        clearTimeout(late)
        resolve()
      })
    })
  }

  #dial(): void {
    const reader = new LineReader()
    const socket = connect(this.#path)
    this.#socket = socket
    socket.on('connect', () => {
      this.tell({ type: 'predecessor', pid: process.pid })
      this.#duties.onConnected()
    })
    socket.on('data', (chunk) => {
      if (!handleLines(reader, chunk, 'a message of the successor', (message) => this.#hear(message))) socket.destroy()
    })
    socket.on('error', () => {}) // it was restarted, or is being: 'close' follows
    socket.on('close', () => {
      if (!this.#isOver) setTimeout(() => this.#dial(), AGAIN_MS)
    })
  }

  #hear(message: unknown): void {
    const { type, table, secrets } = fieldsOf<{ type: string; table: unknown; secrets: unknown }>(message)
    if (type === 'table') this.#duties.onTable(table)
    else if (type === 'secrets') this.#duties.onSecrets(secrets)
    else if (type === 'drain-and-exit') this.#duties.onDrainAndExit()
  }
}
