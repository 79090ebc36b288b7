import { EventEmitter } from 'node:events'
import type pg from 'pg'
import { describe, expect, test } from 'vitest'
import { systemClock } from '../../../lib/clock.ts'
import { SpareConnection } from './spare-connection.ts'

class FakeClient extends EventEmitter {
  closed = false
  readonly connection = {
    stream: {
      destroy: () => {
        this.closed = true
      },
    },
  }
  readonly #error: object | null
  constructor(error: object | null) {
    super()
    this.#error = error
  }
  connect(): Promise<void> {
    return this.#error === null ? Promise.resolve() : Promise.reject(this.#error)
  }
}

function world(...errors: (object | null)[]) {
  const made: FakeClient[] = []
  const open = () => {
    const client = new FakeClient(errors[made.length] ?? null)
    made.push(client)
    return client as unknown as pg.Client
  }
  return { made, spare: new SpareConnection(systemClock, () => ({ socketDir: '', port: 1 }), open) }
}

const FULL = { code: '53300' }

describe('the spare connection', () => {
  test('is the first that was good, and is used again when the server is full', async () => {
    const { made, spare } = world(null, FULL, FULL)
    spare.giveBack(await spare.connect(100), true)
    for (let times = 0; times < 2; times += 1) {
      const again = await spare.connect(100)
      expect(again).toBe(made[0])
      spare.giveBack(again, true)
    }
    expect(made.map(({ closed }) => closed)).toEqual([false, true, true])
    expect(made[0]?.listenerCount('end'), 'no listener is left behind').toBe(1)
  })

  test('is not used for any other failure, and not after it was lost or something is under way on it', async () => {
    const { made, spare } = world(null, { code: '57P03' }, FULL, null, FULL)
    spare.giveBack(await spare.connect(100), true)
    await expect(spare.connect(100)).rejects.toMatchObject({ code: '57P03' })
    made[0]?.emit('end')
    await expect(spare.connect(100)).rejects.toMatchObject(FULL)
    spare.giveBack(await spare.connect(100), false)
    await expect(spare.connect(100)).rejects.toMatchObject(FULL)
  })
})
