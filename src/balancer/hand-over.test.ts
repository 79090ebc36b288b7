/** The two sides of a hand-over, joined by a channel, each of them dying at each moment. */
import { createServer, type Server } from 'node:net'
import { expect, test } from 'vitest'
import { VirtualClock } from '../lib/virtual-clock.ts'
import { type FromSuccessor, handOver, PREPARED_WITHIN_MS, READY_WITHIN_MS, type ToSuccessor } from './hand-over.ts'
import { takeOver } from './take-over.ts'

type Moment = 'state' | 'control' | 'listener' | 'complete' | 'prepared' | 'controls' | 'ready'

/** What the outside sees: who has the control socket, who accepts. */
function world(
  stop: { readonly at?: Moment; readonly by?: 'old' | 'new'; readonly how?: 'dies' | 'hangs' | 'lost' } = {},
) {
  const clock = new VirtualClock()
  const said: string[] = []
  const is = {
    oldControls: true,
    newControls: false,
    oldAccepts: true,
    newAccepts: false,
    newLives: true,
    oldLives: true,
  }
  let hangs = false
  let over: boolean | undefined
  let newEnded = () => {}
  let oldGone = () => {}
  let toNew: (message: unknown, listener: Server | undefined) => void = () => {}
  let toOld: (message: FromSuccessor) => void = () => {}
  const endNew = () => {
    Object.assign(is, { newLives: false, newControls: false, newAccepts: false })
    newEnded()
  }
  /** False: the message is never delivered, because a side has died or hangs. */
  const passes = (type: Moment): boolean => {
    said.push(type)
    hangs ||= stop.how === 'hangs' && stop.at === type
    if (!is.newLives || !is.oldLives || hangs) return false
    if (stop.at !== type) return true
    if (stop.how === 'lost') return false
    if (stop.by === 'new') endNew()
    else {
      Object.assign(is, { oldLives: false, oldControls: false, oldAccepts: false })
      oldGone()
    }
    return false
  }
  const taken = takeOver(
    {
      send: (message) => passes(message.type) && toOld(message),
      onMessage: (hear) => {
        toNew = hear
      },
      onGone: (gone) => {
        oldGone = gone
      },
    },
    {
      prepare: () => {},
      openControl: async () => {
        expect(is.oldControls, 'never two control sockets').toBe(false)
        is.newControls = true
      },
      adopt: () => {
        is.newAccepts = true
      },
      begin: () => {},
    },
  ).then(
    () => 'ready',
    () => {
      if (is.newLives) endNew() // as the process does
      return 'ended'
    },
  )
  const server = createServer()
  handOver(
    {
      send: (message: ToSuccessor, listener) => passes(message.type) && toNew(message, listener),
      onMessage: (hear) => {
        toOld = hear
      },
      onEnd: (ended) => {
        newEnded = ended
      },
      kill: () => is.newLives && endNew(),
      letGo: () => {},
    },
    {
      state: () => ({ type: 'state', table: null, highestTerms: {}, secrets: [] }),
      listeners: () => [['web', server]],
      releaseControl: () => {
        is.oldControls = false
      },
      regainControl: () => {
        is.oldControls = true
      },
      retire: () => {
        is.oldAccepts = false
      },
      log: () => {},
    },
    clock,
    (retired) => {
      over = retired
    },
  )
  return { clock, said, is, taken, over: () => over }
}

const settle = () => new Promise((resolve) => setImmediate(resolve))

test('the successor gets what it must know, the control socket, and the listening sockets last; then the old one retires', async () => {
  const { said, is, taken, over } = world()
  expect(await taken).toBe('ready')
  expect(said).toEqual(['state', 'prepared', 'control', 'controls', 'listener', 'complete', 'ready'])
  expect(is).toMatchObject({ oldControls: false, newControls: true, oldAccepts: false, newAccepts: true })
  expect(over()).toBe(true)
})

const MOMENTS: readonly Moment[] = ['state', 'prepared', 'control', 'controls', 'listener', 'complete', 'ready']

test.each(MOMENTS)('the successor dies at “%s”: the old one controls and accepts as before', async (at) => {
  const { is, over } = world({ at, by: 'new', how: 'dies' })
  await settle()
  expect(over()).toBe(false)
  expect(is).toMatchObject({ oldControls: true, oldAccepts: true, newLives: false })
})

test.each(MOMENTS)('nothing more is heard from “%s” on: the successor is killed, the old one goes on', async (at) => {
  const { is, over, clock } = world({ at, how: 'hangs' })
  await settle()
  await clock.advance(PREPARED_WITHIN_MS + READY_WITHIN_MS)
  await settle()
  expect(over()).toBe(false)
  expect(is).toMatchObject({ oldControls: true, oldAccepts: true, newLives: false })
})

test.each(MOMENTS.filter((at) => at !== 'ready'))(
  'the old one dies at “%s”: the successor ends, for the agent to start another',
  async (at) => {
    const { is, taken } = world({ at, by: 'old', how: 'dies' })
    expect(await taken).toBe('ended')
    expect(is).toMatchObject({ newLives: false, newControls: false, newAccepts: false })
  },
)

test('a listening socket that is lost on the way: the successor ends rather than listen on too few', async () => {
  const { is, taken, over } = world({ at: 'listener', how: 'lost' })
  expect(await taken).toBe('ended')
  expect(over()).toBe(false)
  expect(is).toMatchObject({ oldControls: true, oldAccepts: true, newLives: false })
})
