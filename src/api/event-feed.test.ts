import { afterEach, describe, expect, it } from 'vitest'
import type { Clock } from '../lib/clock.ts'
import { Cursor } from './cursor.ts'
import { Feeds } from './event-feed.ts'
import { FakeSurface, fakeEvent } from './fake-surface.ts'

/** Runs what was put off when the test says so. */
class HandClock implements Clock {
  readonly waiting: { delayMs: number; fn: () => void }[] = []
  mono = () => 0
  wall = () => 0
  after(delayMs: number, fn: () => void) {
    const entry = { delayMs, fn }
    this.waiting.push(entry)
    return () => void this.waiting.splice(this.waiting.indexOf(entry), 1)
  }
}

const open: Feeds[] = []
afterEach(() => {
  for (const feeds of open.splice(0)) feeds.close()
})

function setUp() {
  const surface = new FakeSurface()
  const clock = new HandClock()
  const feeds = new Feeds(surface, clock)
  open.push(feeds)
  return { surface, clock, feeds }
}

function read(stream: ReadableStream<Uint8Array>) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader()
  return { next: async () => (await reader.read()).value, cancel: () => reader.cancel() }
}

describe('Cursor', () => {
  it('remembers the highest number of each node and reads what it wrote', () => {
    const cursor = Cursor.parse('a-17,node-b-4')
    expect(cursor.pass(fakeEvent('a-17'))).toBe(false)
    expect(cursor.pass(fakeEvent('node-b-3'))).toBe(false)
    expect(cursor.pass(fakeEvent('node-b-5'))).toBe(true)
    expect(cursor.pass(fakeEvent('c-1'))).toBe(true)
    expect(String(cursor)).toBe('a-17,node-b-5,c-1')
  })

  it('takes a restarted agent for a new source, and forgets those that fell silent long ago', () => {
    const cursor = new Cursor()
    expect(cursor.pass(fakeEvent('a-run0-9'))).toBe(true)
    expect(cursor.pass(fakeEvent('a-run1-1'))).toBe(true)
    for (let run = 2; run < 200; run++) cursor.pass(fakeEvent(`a-run${run}-1`))
    expect(String(cursor).split(',')).toHaveLength(64)
    expect(cursor.pass(fakeEvent('a-run199-1'))).toBe(false)
  })

  it('takes nonsense for having seen nothing', () => {
    expect(Cursor.parse('… ,, -3').pass(fakeEvent('a-1'))).toBe(true)
  })
})

describe('a feed', () => {
  it('begins with the place, then tells what happens', async () => {
    const { surface, feeds } = setUp()
    surface.happen('a-1')
    const reader = read(feeds.stream({ resumeFrom: undefined, last: 0 }))
    expect(await reader.next()).toBe('id: a-1\n: following\n\n')
    const event = surface.happen('b-9')
    expect(await reader.next()).toBe(`id: a-1,b-9\nevent: event\ndata: ${JSON.stringify(event)}\n\n`)
  })

  it('begins with the last few when asked', async () => {
    const { surface, feeds } = setUp()
    for (const id of ['a-1', 'a-2', 'a-3']) surface.happen(id)
    const reader = read(feeds.stream({ resumeFrom: undefined, last: 2 }))
    expect(await reader.next()).toContain('id: a-1\n')
    expect(await reader.next()).toContain('"id":"a-2"')
    expect(await reader.next()).toContain('"id":"a-3"')
  })

  it('resumes by place: nothing is left out and nothing is told twice, whatever the order here', async () => {
    const { surface, feeds } = setUp()
    for (const id of ['b-1', 'a-1', 'b-2', 'a-2', 'c-1']) surface.happen(id)
    const reader = read(feeds.stream({ resumeFrom: 'a-1,b-2', last: 0 }))
    expect(await reader.next()).toContain('"id":"a-2"')
    expect(await reader.next()).toContain('"id":"c-1"')
  })

  it('beats every ten seconds', async () => {
    const { clock, feeds } = setUp()
    const reader = read(feeds.stream({ resumeFrom: 'a-1', last: 0 }))
    for (let beat = 0; beat < 2; beat++) {
      expect(clock.waiting.map(({ delayMs }) => delayMs)).toEqual([10_000])
      clock.waiting.shift()?.fn()
      expect(await reader.next()).toBe(': alive\n\n')
    }
  })

  it('lets go of a reader that left, and of one that does not read', async () => {
    const { surface, clock, feeds } = setUp()
    const reader = read(feeds.stream({ resumeFrom: undefined, last: 0 }))
    await reader.next()
    await reader.cancel()
    expect([surface.listeners, clock.waiting.length, feeds.open]).toEqual([0, 0, 0])
    feeds.stream({ resumeFrom: undefined, last: 0 })
    for (let number = 1; number <= 1_001; number++) surface.happen(`a-${number}`)
    expect([surface.listeners, clock.waiting.length, feeds.open]).toEqual([0, 0, 0])
  })
})
