/**
 * Does the server that this standby receives from still live? Its agent may be dead while it serves on, and then it
 * should stay primary; its host may be disconnected silently, and then no failover should wait for a time-out of the
 * stream.
 *
 * While anything is written the stream shows it. An idle primary sends nothing for half of wal_receiver_timeout, so it
 * is probed: a connection that asks for TLS and closes after the answer, which takes a new process of a postmaster that
 * is alive. A TCP connection alone would prove nothing: a frozen one accepts it.
 */
import { connect } from 'node:net'
import type { Clock } from '../../../lib/clock.ts'
import { mayReceive } from '../files/durable-record.ts'
import type { Replica } from '../replica.ts'

const HAIL_AFTER_MS = 300
const HAIL_WITHIN_MS = 400
/** SSLRequest: eight bytes in all, and a number that no version has. */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f])

const HEARD = `select extract(epoch from clock_timestamp() - last_msg_receipt_time) * 1000 as ago_ms
from pg_stat_wal_receiver where status = 'streaming'`

export class PrimaryLiveness {
  readonly #replica: Replica
  #heardAt: number | undefined

  constructor(replica: Replica) {
    this.#replica = replica
  }

  get heardAgoMs(): number | undefined {
    return this.#heardAt === undefined ? undefined : this.#clock.mono() - this.#heardAt
  }

  forget(): void {
    this.#heardAt = undefined
  }

  async listen(): Promise<void> {
    const replica = this.#replica
    const { following } = replica.record
    if (!replica.runs || following === null || !mayReceive(replica.record)) return this.forget()
    const [row] = await replica.watcher.query(HEARD)
    // Its end of the connection is gone: that is first-hand, and what was heard before counts no more.
    if (!row) return this.forget()
    const streamAt = this.#clock.mono() - Math.max(0, Number(row.ago_ms))
    this.#heardAt = Math.max(this.#heardAt ?? streamAt, streamAt)
    if ((this.heardAgoMs ?? 0) < HAIL_AFTER_MS) return
    const { host, port } = following.primary
    if (await hail(host, port, this.#clock)) this.#heardAt = this.#clock.mono()
  }

  get #clock(): Clock {
    return this.#replica.parts.clock
  }
}

/** Did a server answer in time? Never rejects. */
function hail(host: string, port: number, clock: Clock): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, noDelay: true })
    const end = (answered: boolean) => {
      cancel()
      socket.destroy()
      resolve(answered)
    }
    const cancel = clock.after(HAIL_WITHIN_MS, () => end(false))
    socket.once('connect', () => socket.write(SSL_REQUEST))
    socket.once('data', () => end(true))
    socket.once('error', () => end(false))
    socket.once('end', () => end(false))
  })
}
