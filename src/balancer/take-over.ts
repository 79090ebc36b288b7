/**
 * The other side of hand-over.ts: a balancer that was started by its predecessor. Until it has said that it is ready it is nothing
 * without the predecessor: when that ends, it ends, and the agent starts another one.
 */
import type { Server } from 'node:net'
import { fieldsOf } from '../lib/shapes.ts'
import type { FromSuccessor, ToSuccessor } from './hand-over.ts'

/** To the predecessor. */
export interface PredecessorChannel {
  send(message: FromSuccessor): void
  onMessage(hear: (message: unknown, listener: Server | undefined) => void): void
  /** The predecessor is gone, or has let go. */
  onGone(gone: () => void): void
}

export interface TakeOverDuties {
  prepare(state: Extract<ToSuccessor, { type: 'state' }>): void
  openControl(): Promise<void>
  /** At once: a connection may come in the next moment. */
  adopt(key: string, listener: Server): void
  /** All sockets are there: this is the balancer of the node from now on. */
  begin(): void
}

/** Resolves when this process is the balancer; rejects when the predecessor ended before, or something cannot be done. */
export function takeOver(channel: PredecessorChannel, duties: TakeOverDuties): Promise<void> {
  return new Promise((resolve, reject) => {
    channel.onGone(() => reject(new Error('the predecessor ended before it had handed over')))
    let adopted = 0
    const obey = async (message: unknown, listener: Server | undefined): Promise<void> => {
      const { type, key, listeners } = fieldsOf<{ type: ToSuccessor['type']; key: string; listeners: number }>(message)
      if (type === 'state') {
        duties.prepare(message as Extract<ToSuccessor, { type: 'state' }>)
        channel.send({ type: 'prepared' })
      } else if (type === 'control') {
        await duties.openControl()
        channel.send({ type: 'controls' })
      } else if (type === 'listener' && typeof key === 'string' && listener) {
        adopted += 1
        duties.adopt(key, listener)
      } else if (type === 'complete') {
        if (adopted !== listeners) throw new Error(`${adopted} of ${listeners} listening sockets arrived`)
        duties.begin()
        channel.send({ type: 'ready' })
        resolve()
      }
    }
    channel.onMessage((message, listener) => {
      obey(message, listener).catch(reject)
    })
  })
}
