import { Writable } from 'node:stream'
import { expect, it } from 'vitest'
import { flushOutput } from './flush-output.ts'

it('waits for a reader that takes its time, without a deadline of its own', async () => {
  const taken: string[] = []
  const waiting: (() => void)[] = []
  const slow = new Writable({
    highWaterMark: 4,
    write: (chunk, _, done) => {
      waiting.push(() => {
        taken.push(String(chunk))
        done()
      })
    },
  })
  for (const line of ['one', 'two', 'three']) slow.write(line)
  let isDone = false
  const flushing = flushOutput([slow]).then(() => {
    isDone = true
  })
  while (taken.length < 3) {
    await new Promise((resolve) => setImmediate(resolve))
    expect(isDone).toBe(false)
    waiting.shift()?.()
  }
  while (!isDone) {
    waiting.shift()?.()
    await new Promise((resolve) => setImmediate(resolve))
  }
  await flushing
  expect(taken.join('')).toBe('onetwothree')
})

it('waits for no reader that has gone, and for none where nothing was printed', async () => {
  const gone = new Writable({ write: (_chunk, _, done) => done(new Error('EPIPE')) })
  gone.on('error', () => {})
  gone.write('lost')
  await flushOutput([gone])
  await flushOutput([new Writable({ write: () => {} })])
})
