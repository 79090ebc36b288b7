/**
 * A PostgreSQL server of a few lines, for tests of the door: it lets every client in, answers every statement with no rows and the
 * door's question with `rows`, and can be made to die at any moment, which real servers cannot. It knows `begin`, `commit` and
 * `copy … from stdin`; a statement with `slow` in it is answered when `answer` is called.
 */
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { int16, int32, message, textAt } from '../../src/balancer/postgres/messages.ts'
import type { Target } from '../../src/core/routing-table.ts'
import { closers } from './door.ts'

/** `login-sent`: the startup packet has come. The others: so much of an answer has been sent. */
export type Moment =
  | 'login-sent'
  | 'login-accepted'
  | 'login-key'
  | 'login-done'
  | 'statement-sent'
  | 'statement-answered'
  | 'statement-done'
  | 'question-sent'
  | 'question-parsed'
  | 'question-row'
  | 'question-answered'
  | 'question-done'

type Row = readonly (string | null)[]

export interface FakeOptions {
  /** What the answer to a question of the door has; undefined: an empty session, a database without functions. */
  rows?(question: string): readonly Row[] | undefined
  /** True: this question is answered when `answer` is called. */
  delays?(question: string): boolean
  /** True: it dies now. `nth` counts from 1 how often this moment has come. */
  dies?(moment: Moment, nth: number, text: string): boolean
  readonly pid?: number
}

export interface FakePostgres {
  readonly port: number
  /** Texts of simple queries and names of prepared statements, in order, all connections together. */
  readonly heard: string[]
  /** How many logins have begun. */
  logins(): number
  /** How many connections are open. */
  open(): number
  /** Answers what is slow. */
  answer(): void
  die(): void
  /** Sends these bytes on every connection. */
  say(bytes: Buffer): void
  /** It has died, at the moment that was asked for or by `die`. */
  dead(): boolean
  target(node: string, term: number, change?: Partial<Target>): Target
}

const NO_FUNCTIONS: Row = ['fingerprint', null, '', '']
const READY = message('Z', 'I')
const IN_TRANSACTION = message('Z', 'T')

export async function fakePostgres(options: FakeOptions = {}): Promise<FakePostgres> {
  const sockets = new Set<Socket>()
  const heard: string[] = []
  const counts = new Map<Moment, number>()
  const slow: (() => void)[] = []
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {}) // it is cut on purpose
    socket.on('close', () => sockets.delete(socket))
    serve(socket)
  })
  let dead = false
  const die = (): void => {
    dead = true
    server.close()
    for (const socket of sockets) socket.destroy()
  }
  /** Sends, then asks whether this was the last that was sent. False: it is dead. */
  const step = (socket: Socket, moment: Moment, text: string, ...bytes: Buffer[]): boolean => {
    if (dead || socket.destroyed) return false
    socket.write(Buffer.concat(bytes))
    const nth = (counts.get(moment) ?? 0) + 1
    counts.set(moment, nth)
    if (options.dies?.(moment, nth, text) !== true) return true
    dead = true
    server.close()
    for (const other of sockets) other.end() // what was sent arrives before the end
    return false
  }
  const serve = (socket: Socket): void => {
    let seen = Buffer.alloc(0)
    let inside = false
    let waiting = Buffer.alloc(0)
    let asked: string | undefined
    let ready = READY
    const done = (text: string): boolean => {
      return (
        step(socket, 'statement-answered', text, message('C', 'SET\0')) && step(socket, 'statement-done', text, ready)
      )
    }
    const one = (type: string, body: Buffer): boolean => {
      if (type === 'Q') {
        const text = textAt(body, 0, body.length)
        heard.push(text)
        if (!step(socket, 'statement-sent', text)) return false
        if (text.startsWith('begin')) ready = IN_TRANSACTION
        if (text.startsWith('commit')) ready = READY
        const takesData = () => step(socket, 'statement-answered', text, message('G', Buffer.from([0, 0, 0])))
        const go = () => (text.startsWith('copy') ? takesData() : done(text))
        if (!text.includes('slow')) return go()
        slow.push(() => void go())
        return true
      }
      if (type === 'c') return done('copy')
      if (type === 'P') {
        const name = textAt(body, 0, body.length)
        const text = textAt(body, name.length + 1, body.length)
        if (text.includes('understudy')) asked = text
        else heard.push(`prepare ${name}`)
        waiting = Buffer.concat([waiting, message('1')])
      }
      if (type === 'B') waiting = Buffer.concat([waiting, message('2')])
      if (type === 'C') waiting = Buffer.concat([waiting, message('3')])
      if (type === 'E' && asked === undefined) waiting = Buffer.concat([waiting, message('C', 'SELECT 0\0')])
      if (type !== 'S') return true
      const answer = waiting
      waiting = Buffer.alloc(0)
      const question = asked
      asked = undefined
      if (question === undefined) {
        return step(socket, 'statement-answered', 'sync', answer) && step(socket, 'statement-done', 'sync', READY)
      }
      const isOfDatabase = question.includes('what this database does')
      const rows = (options.rows?.(question) ?? (isOfDatabase ? [NO_FUNCTIONS] : [])).map(rowOf)
      const reply = () =>
        step(socket, 'question-sent', question) &&
        step(socket, 'question-parsed', question, message('1'), message('2')) &&
        step(socket, 'question-row', question, ...rows) &&
        step(socket, 'question-answered', question, message('C', 'SELECT 1\0'), message('3'), message('3')) &&
        step(socket, 'question-done', question, READY)
      if (options.delays?.(question) !== true) return reply()
      slow.push(() => void reply())
      return true
    }
    socket.on('data', (chunk) => {
      seen = Buffer.concat([seen, chunk])
      while (!dead && !socket.destroyed) {
        const head = inside ? 1 : 0
        if (seen.length < head + 4) return
        const length = seen.readInt32BE(head)
        if (seen.length < head + length) return
        const [type, body] = [String.fromCharCode(seen[0] ?? 0), seen.subarray(head + 4, head + length)]
        seen = seen.subarray(head + length)
        if (inside ? !one(type, body) : !logIn(socket)) return
        inside = true
      }
    })
  }
  const logIn = (socket: Socket): boolean => {
    const key = message('K', int32(options.pid ?? 4711), Buffer.from([1, 2, 3, 4]))
    const parameters = ['server_version\x0018\0', 'client_encoding\0UTF8\0', 'standard_conforming_strings\0on\0']
    return (
      step(socket, 'login-sent', '') &&
      step(socket, 'login-accepted', '', message('R', int32(0)), ...parameters.map((text) => message('S', text))) &&
      step(socket, 'login-key', '', key) &&
      step(socket, 'login-done', '', READY)
    )
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closers.push(die)
  const { port } = server.address() as AddressInfo
  return {
    port,
    heard,
    die,
    say(bytes) {
      for (const socket of sockets) socket.write(bytes)
    },
    logins: () => counts.get('login-sent') ?? 0,
    open: () => sockets.size,
    answer() {
      for (const go of slow.splice(0)) go()
    },
    dead: () => dead,
    target: (node, term, change = {}) => {
      return { id: `db@${node}:${port}`, node, host: '127.0.0.1', port, state: 'serving', term, ...change }
    },
  }
}

function rowOf(columns: Row): Buffer {
  const cells = columns.flatMap((text) => {
    return text === null ? [int32(-1)] : [int32(Buffer.byteLength(text, 'latin1')), Buffer.from(text, 'latin1')]
  })
  return message('D', int16(columns.length), ...cells)
}
