/**
 * A balancer gives its listening sockets to its successor, a process of another version that it starts itself, and goes on with the
 * connections that it has until they end. The kernel keeps clients in the queue of a socket as long as one process has it open,
 * so no client is refused.
 *
 * What must always be true: at each moment one of the two listens, and whichever dies, the other one or its restart does. So
 * the successor first gets what it must know and opens the control socket; the listening sockets come last, and this process
 * accepts connections until the successor has said that it does. When the successor ends or falls silent before that, nothing has
 * changed here but the control socket, which is opened again. When this process dies before that, the successor ends, too
 * (take-over.ts), and the agent starts a new one as after any death.
 *
 * The trap: closing a Unix socket removes its path, also when another process listens there by then. So this process closes its own before the
 * successor opens one.
 */
import type { Server } from 'node:net'
import type { RoutingTable } from '../core/routing-table.ts'
import type { Cancel, Clock } from '../lib/clock.ts'
import type { BalancerSecret } from './control-protocol.ts'

/** Over the channel between the two processes. */
export type ToSuccessor =
  | {
      readonly type: 'state'
      /** Null: none was ever accepted. */
      readonly table: RoutingTable | null
      readonly highestTerms: Readonly<Record<string, number>>
      readonly secrets: readonly BalancerSecret[]
    }
  /** The path of the control socket is free. */
  | { readonly type: 'control' }
  /** With a listening socket. `key` names its route. */
  | { readonly type: 'listener'; readonly key: string }
  /** That was the last one, of so many. A process that is out of file descriptors gets messages without their sockets. */
  | { readonly type: 'complete'; readonly listeners: number }

export type FromSuccessor = { readonly type: 'prepared' } | { readonly type: 'controls' } | { readonly type: 'ready' }

/** The process that takes over. */
export interface Successor {
  send(message: ToSuccessor, listener?: Server): void
  onMessage(hear: (message: FromSuccessor) => void): void
  /** It ended, or could not be started. Called at most once. */
  onEnd(ended: () => void): void
  kill(): void
  /** It is ready and needs this process no more. */
  letGo(): void
}

export interface HandOverDuties {
  state(): Extract<ToSuccessor, { type: 'state' }>
  listeners(): Iterable<readonly [key: string, server: Server]>
  releaseControl(): void
  /** It did not work: as before. */
  regainControl(): void
  /** Accept nothing more; what is open goes on. */
  retire(): void
  log(text: string): void
}

/** For the start of a program on a busy machine; clients are served meanwhile. */
export const PREPARED_WITHIN_MS = 20_000
/** While neither has the control socket: an agent waits, clients do not. */
export const READY_WITHIN_MS = 5_000

/** Calls `over` once: with true when this process has retired, with false when all is as before. */
export function handOver(
  successor: Successor,
  duties: HandOverDuties,
  clock: Pick<Clock, 'after'>,
  over: (retired: boolean) => void,
): void {
  let phase: 'preparing' | 'controls' | 'listeners' | 'over' = 'preparing'
  let late: Cancel = clock.after(PREPARED_WITHIN_MS, () => fail('was not prepared in time'))
  const fail = (why: string): void => {
    if (phase === 'over') return
    const hadControl = phase === 'preparing'
    phase = 'over'
    late()
    successor.kill()
    duties.log(`the successor ${why}: this balancer stays`)
    if (!hadControl) duties.regainControl()
    over(false)
  }
  successor.onEnd(() => fail('ended'))
  successor.onMessage(({ type }) => {
    if (type === 'prepared' && phase === 'preparing') {
      phase = 'controls'
      late()
      late = clock.after(READY_WITHIN_MS, () => fail('was not ready in time'))
      duties.releaseControl()
      successor.send({ type: 'control' })
    } else if (type === 'controls' && phase === 'controls') {
      phase = 'listeners'
      const listeners = [...duties.listeners()]
      for (const [key, server] of listeners) successor.send({ type: 'listener', key }, server)
      successor.send({ type: 'complete', listeners: listeners.length })
    } else if (type === 'ready' && phase === 'listeners') {
      phase = 'over'
      late()
      duties.retire()
      successor.letGo()
      over(true)
    }
  })
  successor.send(duties.state())
}
