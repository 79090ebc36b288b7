/**
 * The agent's side of the fence (fence-process.ts is the other, and says what it is for).
 *
 * `arm` resolves when the fence has acknowledged. When it rejects, the outcome is unknown: the writer must be assumed
 * to be guarded by the deadline before, or not at all. So a writer is started only after `arm` resolved, and a lease
 * that cannot be extended here is not extended.
 *
 * A lost connection is made again by itself, and what this agent has armed is then armed again. A fence that hangs
 * acknowledges nothing, so `alive` asks for acknowledgements and not for a connection.
 */
import { spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync } from 'node:fs'
import { createConnection, type Socket } from 'node:net'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { EARLIER, type Speaks } from '../core/protocol.ts'
import { UnderstudyError } from '../errors.ts'
import { guarded } from '../lib/background.ts'
import { type Cancel, systemClock } from '../lib/clock.ts'
import { handleLines, LineReader, toLine } from '../lib/json-lines.ts'
import type { ProcessIdentity } from '../lib/proc.ts'
import type { Stop } from '../lib/stop.ts'
import { superviseLoop } from '../lib/supervised-loop.ts'
import { type Armed, type Fenced, type FenceReply, parseReply } from './fence-protocol.ts'

/** An acknowledgement takes well under a millisecond; this allows for a busy machine and stays far below a lease. */
const ACKNOWLEDGED_WITHIN_MS = 250
const PING_EVERY_MS = 250
const RECONNECT_AFTER_MS = 25
/** Silence that makes it dead in our eyes: two pings missed and the time that the second had. */
const ALIVE_FOR_MS = 2 * PING_EVERY_MS + ACKNOWLEDGED_WITHIN_MS
/** The kernel's limit for the path of a Unix socket (sun_path is 108 bytes and ends with a zero byte). */
const SOCKET_PATH_BYTES = 107

const clock = systemClock

export interface Fence {
  /** From now on `identity` dies at `killAtMono` unless this is said again. Rejects when not acknowledged in 250 ms. */
  arm(service: string, identity: ProcessIdentity, killAtMono: number): Promise<void>
  /** For what is certainly dead, or leads nothing any more. */
  disarm(service: string, identity: ProcessIdentity): Promise<void>
  /** It has killed something of ours (or found it gone). */
  onFenced(listener: (fenced: Fenced) => void): Stop
  /** Did it kill this process, or is it about to: its deadline is over, whether or not the fence has said so yet? */
  isOver(identity: ProcessIdentity): boolean
  /** It acknowledged something within the last three quarters of a second. */
  alive(): boolean
  /** What it says is armed, by this agent or by an earlier one. */
  armed(): Promise<readonly Armed[]>
  /** What the fence that answered last is; null: none has answered yet. */
  readonly speaks: Speaks | null
  /** Ends the conversation, not the fence; what is armed stays armed. */
  close(): void
}

export function connectFence(socketPath: string): Fence {
  return new FenceConnection(socketPath)
}

export interface FencePaths {
  readonly socketPath: string
  /** Where the fence saves what is armed. */
  readonly savedPath: string
  readonly logPath: string
  /** The named pipe of the last guard (last-guard.ts). Default: there is no last guard. */
  readonly guardPipe?: string
}

/**
 * Starts a fence that outlives this process. When one is already there and answers, the new one ends at once; when it does
 * not answer, the new one kills it and takes over what it had saved.
 */
export function startFence(
  paths: FencePaths,
  program: string = fileURLToPath(new URL('./fence-process.js', import.meta.url)),
): void {
  requireShortPath(paths.socketPath)
  for (const path of Object.values(paths)) mkdirSync(dirname(path), { recursive: true })
  const log = openSync(paths.logPath, 'a', 0o640)
  const args = ['--max-old-space-size=32', program, '--socket', paths.socketPath, '--saved', paths.savedPath]
  if (paths.guardPipe !== undefined) args.push('--guard', paths.guardPipe)
  const child = spawn(process.execPath, args, { detached: true, stdio: ['ignore', log, log] })
  // A failure shows in `alive()`.
  child.on('error', () => {})
  child.unref()
  closeSync(log)
}

type Acknowledgement = Extract<FenceReply, { ok: true }>

interface Waiting {
  readonly message: object
  resolve(reply: Acknowledgement): void
  reject(error: UnderstudyError): void
}

class FenceConnection implements Fence {
  speaks: Speaks | null = null
  readonly #path: string
  readonly #armed = new Map<string, Armed>()
  readonly #waiting = new Map<number, Waiting>()
  readonly #listeners = new Set<(fenced: Fenced) => void>()
  /** What it said that it killed; a few names for each time that a lease is lost. */
  readonly #killed = new Set<string>()
  #socket: Socket | undefined
  #nextId = 1
  #answeredAtMono = Number.NEGATIVE_INFINITY
  #timer: Cancel = () => {}
  #reconnecting: Cancel = () => {}
  #closed = false

  constructor(path: string) {
    requireShortPath(path)
    this.#path = path
    this.#connect()
    const ping = () => this.#say({ id: 0, ping: true })
    this.#timer = superviseLoop({
      clock,
      what: 'asking the fence',
      everyMs: PING_EVERY_MS,
      firstMs: 0,
      work: ping,
    }).stop
  }

  async arm(service: string, identity: ProcessIdentity, killAtMono: number): Promise<void> {
    const key = keyOf(identity)
    const before = this.#armed.get(key)
    const arm: Armed = { service, pid: identity.pid, startTime: identity.startTime, killAtMono }
    this.#armed.set(key, arm)
    try {
      await this.#ask({ arm })
    } catch (error) {
      // A new connection must not extend what the caller was told is not extended.
      if (this.#armed.get(key) === arm) {
        if (before) this.#armed.set(key, before)
        else this.#armed.delete(key)
      }
      throw error
    }
  }

  async disarm(service: string, identity: ProcessIdentity): Promise<void> {
    this.#armed.delete(keyOf(identity))
    await this.#ask({ disarm: { service, pid: identity.pid, startTime: identity.startTime } })
  }

  async armed(): Promise<readonly Armed[]> {
    return (await this.#ask({ ping: true })).armed ?? []
  }

  onFenced(listener: (fenced: Fenced) => void): Stop {
    const entry = (fenced: Fenced) => listener(fenced)
    this.#listeners.add(entry)
    return () => void this.#listeners.delete(entry)
  }

  isOver(identity: ProcessIdentity): boolean {
    const key = keyOf(identity)
    const armed = this.#armed.get(key)
    return this.#killed.has(key) || (armed !== undefined && armed.killAtMono <= clock.mono())
  }

  alive(): boolean {
    return clock.mono() - this.#answeredAtMono < ALIVE_FOR_MS
  }

  close(): void {
    this.#closed = true
    this.#timer()
    this.#reconnecting()
    this.#socket?.destroy()
    for (const { reject } of this.#waiting.values()) reject(new UnderstudyError('UND_REFUSED', 'the fence was let go'))
    this.#waiting.clear()
  }

  #ask(question: object): Promise<Acknowledgement> {
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      const forget = clock.after(ACKNOWLEDGED_WITHIN_MS, () => {
        // After a pause of our own, timers run before the answers that came meanwhile are read: let those in first.
        setImmediate(() => this.#waiting.get(id)?.reject(notAcknowledged()))
      })
      const done = () => {
        forget()
        this.#waiting.delete(id)
      }
      const message = { id, ...question }
      this.#waiting.set(id, {
        message,
        resolve: (reply) => {
          done()
          resolve(reply)
        },
        reject: (error) => {
          done()
          reject(error)
        },
      })
      this.#say(message)
    })
  }

  #say(message: object): void {
    // Without a connection it is not lost: what is armed and what is waited for is said again when there is one.
    if (this.#socket?.readyState === 'open') this.#socket.write(toLine(message))
  }

  #connect(): void {
    const socket = createConnection(this.#path)
    const reader = new LineReader()
    this.#socket = socket
    socket.on('connect', () => {
      for (const arm of this.#armed.values()) this.#say({ id: 0, arm })
      for (const { message } of this.#waiting.values()) this.#say(message)
      this.#say({ id: 0, ping: true }) // so that `alive` is known at once
    })
    socket.on('data', (chunk) => {
      const hear = (value: unknown) => {
        const reply = parseReply(value)
        if (reply) this.#hear(reply) // what is of another kind is a newer fence's
      }
      // What breaks the framing is not a fence, or one that broke off in the middle of a line.
      if (!handleLines(reader, chunk, 'a reply of the fence', hear)) socket.destroy()
    })
    socket.on('error', () => {}) // 'close' follows
    socket.on('close', () => {
      if (!this.#closed) this.#reconnecting = clock.after(RECONNECT_AFTER_MS, () => this.#connect())
    })
  }

  #hear(reply: FenceReply): void {
    if ('fenced' in reply) {
      this.#armed.delete(keyOf(reply.fenced))
      if (reply.fenced.outcome === 'killed') this.#killed.add(keyOf(reply.fenced))
      for (const listener of [...this.#listeners]) guarded('the news of a kill', () => listener(reply.fenced))
      return
    }
    this.#answeredAtMono = clock.mono()
    if (reply.ok && reply.armed) {
      const { version, protocol } = reply
      this.speaks = version === undefined || protocol === undefined ? EARLIER : { version, protocol }
    }
    const waiting = this.#waiting.get(reply.id)
    if (reply.ok) waiting?.resolve(reply)
    else waiting?.reject(new UnderstudyError('UND_REFUSED', `the fence refused: ${reply.error}`))
  }
}

function notAcknowledged(): UnderstudyError {
  return new UnderstudyError('UND_TIMED_OUT', `the fence did not acknowledge within ${ACKNOWLEDGED_WITHIN_MS} ms`)
}

function keyOf({ pid, startTime }: ProcessIdentity): string {
  return `${pid}/${startTime}`
}

function requireShortPath(path: string): void {
  const bytes = Buffer.byteLength(path)
  if (bytes <= SOCKET_PATH_BYTES) return
  throw new UnderstudyError(
    'UND_CONFIG_INVALID',
    `the path ${path} has ${bytes} bytes; a socket's may have ${SOCKET_PATH_BYTES}: choose a state folder with a shorter path`,
  )
}
