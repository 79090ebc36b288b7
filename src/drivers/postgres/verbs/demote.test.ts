/** What a demotion waits for, and in which order, with a fake server and fake balancers on a virtual clock. */
import { describe, expect, test } from 'vitest'
import type { HoldProgress } from '../../../core/targets.ts'
import { sleep } from '../../../lib/clock.ts'
import { VirtualClock } from '../../../lib/virtual-clock.ts'
import { POSTGRES_DEFAULTS } from '../options.ts'
import type { Replica } from '../replica.ts'
import { demote, endToReturn, type Steps } from './demote.ts'

type Work = (replica: Replica, steps: Steps, signal: AbortSignal) => Promise<void>

/** When it begins, in ms from the beginning of the demotion, unless a balancer holds its client then; and how long it takes. */
interface Transaction {
  readonly beginsAt: number
  readonly takes: number
  /** Past the balancers. */
  readonly isDirect?: boolean
  /** It is none: its balancer asks what the session has. */
  readonly isQuestion?: boolean
}

interface Situation {
  readonly transactions: readonly Transaction[]
  /** What the balancers say `forMs` after they were asked to hold, with so many of their transactions open. */
  progress?(forMs: number, open: number): HoldProgress
  /** Asking the server fails from then on. */
  readonly failsAt?: number
  /** How long the server takes to answer while clients are held. */
  readonly heldAnswerMs?: number
  /** When the balancers have logged their sessions in at the successor. */
  readonly aheadAt?: number
}

const HEARD_AFTER_MS = 20

const heardAndReady = (forMs: number, open: number): HoldProgress => {
  if (forMs < HEARD_AFTER_MS) return 'asked'
  return open > 0 ? 'held' : 'ready'
}

function begin(situation: Situation, work: Work = (replica, steps, signal) => demote(replica, 2, steps, signal)) {
  const {
    transactions,
    progress = heardAndReady,
    failsAt = Number.POSITIVE_INFINITY,
    heldAnswerMs = 0,
    aheadAt = 0,
  } = situation
  const clock = new VirtualClock()
  const zero = clock.mono()
  const said: string[] = []
  const checkpoints: number[] = []
  let heldSince: number | undefined
  let number = 0
  const nowMs = () => clock.mono() - zero
  const note = (what: string) => said.push(`${what} ${Math.round(nowMs())}`)
  const begunAt = new Map<Transaction, number>()
  const open = (): Transaction[] => {
    const now = nowMs()
    const isHeld = heldSince !== undefined && now - heldSince >= HEARD_AFTER_MS
    for (const one of transactions) {
      if (begunAt.has(one) || one.beginsAt > now) continue
      if (one.isDirect || !isHeld) begunAt.set(one, one.beginsAt)
    }
    return transactions.filter((one) => {
      const at = begunAt.get(one)
      return at !== undefined && now < at + one.takes
    })
  }
  const session = {
    async query(text: string) {
      if (text === 'checkpoint') checkpoints.push(Math.round(nowMs()))
      if (!text.includes('pg_stat_activity')) return []
      if (nowMs() >= failsAt) throw new Error('no answer')
      if (heldSince !== undefined && heldAnswerMs > 0) await sleep(clock, heldAnswerMs)
      return open().map((one) => {
        return {
          pid: 7,
          who: 'app',
          program: 'job',
          busy: true,
          asked: one.isQuestion === true,
          idle_inside: true,
          for_ms: nowMs() - (begunAt.get(one) ?? 0),
        }
      })
    },
  }
  const replica = {
    parts: { clock, options: POSTGRES_DEFAULTS },
    session,
    record: { leading: 1, pledged: 9 },
    runs: true,
    draining: false,
    reload() {},
    end: async (how: string) => void said.push(`ended ${how}`),
  } as unknown as Replica
  const steps = {
    balancersWentAhead: () => nowMs() >= aheadAt,
    balancersHeard: () => true,
    hold() {
      note('hold')
      heldSince = nowMs()
      number += 1
      return number
    },
    release() {
      note('release')
      heldSince = undefined
    },
    holdProgress(asked: number) {
      expect(asked).toBe(number)
      const count = open().filter(({ isDirect }) => !isDirect).length
      return progress(nowMs() - (heldSince ?? Number.NaN), count)
    },
    stopping: () => void note('stopping'),
    ending: () => void note('ending'),
  }
  const abort = new AbortController()
  const ended = work(replica, steps, abort.signal).catch((error: Error) => {
    if (!said.some((one) => one.startsWith('ending'))) said.push(error.message) // the fake cannot pledge
  })
  const finish = async (): Promise<string[]> => {
    for (let waitedMs = 0; waitedMs < 20_000; waitedMs += 5) await clock.advance(5)
    await ended
    return said
  }
  return { clock, said, finish, abort, checkpoints }
}

/** The moments as hundreds of milliseconds, rounded down: looks come every 5 ms. */
const roughly = (said: readonly string[]) =>
  said.map((one) => one.replace(/ (\d+)$/, (_, ms) => ` ${Math.floor(Number(ms) / 100)}`))

test('a transaction that is open and does not end calls it off before any client is held', async () => {
  const said = await begin({ transactions: [{ beginsAt: -1_000, takes: 60_000 }] }).finish()
  expect(said).toEqual([expect.stringContaining('1 transaction is still open after 2.0 s')])
})

test('a transaction that is open and ends is waited for while clients work on', async () => {
  const said = await begin({ transactions: [{ beginsAt: -1_000, takes: 2_000 }] }).finish()
  expect(roughly(said)).toEqual(['hold 10', 'ending 10'])
})

describe('a transaction that begins during the wait', () => {
  const waitedFor = { beginsAt: -1_000, takes: 2_000 }

  test('and outlasts everything calls it off: clients were held for a moment, and no session has left', async () => {
    const said = await begin({ transactions: [waitedFor, { beginsAt: 500, takes: 60_000 }] }).finish()
    expect(roughly(said)).toEqual([
      'hold 10',
      'release 12',
      expect.stringContaining('1 transaction is still open after 2.0 s'),
    ])
  })

  test('and ends within the hold is waited for there', async () => {
    const said = await begin({ transactions: [waitedFor, { beginsAt: 500, takes: 700 }] }).finish()
    expect(roughly(said)).toEqual(['hold 10', 'ending 12'])
  })

  test('and outlasts the first hold is waited for while clients work on, and then comes another hold', async () => {
    const said = await begin({ transactions: [waitedFor, { beginsAt: 500, takes: 1_500 }] }).finish()
    expect(roughly(said)).toEqual(['hold 10', 'release 12', 'hold 20', 'ending 20'])
  })
})

test('long transactions that overlap all the time end in the second hold, which is longer', async () => {
  const transactions = Array.from({ length: 100 }, (_, nth) => ({ beginsAt: -900 + nth * 300, takes: 900 }))
  const said = await begin({ transactions }).finish()
  expect(said.map((one) => one.split(' ')[0])).toEqual(['hold', 'release', 'hold', 'ending'])
  const at = (nth: number) => Number(said[nth]?.split(' ')[1])
  expect(at(3) - at(2)).toBeLessThan(1_000 + HEARD_AFTER_MS)
})

test('long transactions that overlap all the time and outlast both holds call it off, and clients are released', async () => {
  const transactions = Array.from({ length: 100 }, (_, nth) => ({ beginsAt: -1_500 + nth * 100, takes: 1_500 }))
  const said = await begin({ transactions }).finish()
  expect(said.map((one) => one.split(' ')[0])).toEqual(['hold', 'release', 'hold', 'release', expect.any(String)])
  expect(said.at(-1)).toMatch(/transactions are still open after 1.0 s/)
})

describe('clients that are connected past the balancers', () => {
  test('and work all the time hold nothing up', async () => {
    const transactions = Array.from({ length: 2_000 }, (_, nth) => ({ beginsAt: nth * 10, takes: 10, isDirect: true }))
    const said = await begin({ transactions }).finish()
    expect(roughly(said)).toEqual(['hold 0', 'ending 0'])
  })

  test('and have begun before the hold are waited for in it', async () => {
    const transactions = [
      { beginsAt: -1_000, takes: 2_000 },
      { beginsAt: 900, takes: 250, isDirect: true },
    ]
    expect(roughly(await begin({ transactions }).finish()).slice(0, 2)).toEqual(['hold 10', 'ending 11'])
  })

  test('and outlast everything call it off', async () => {
    const transactions = [
      { beginsAt: -1_000, takes: 2_000 },
      { beginsAt: 900, takes: 60_000, isDirect: true },
    ]
    const said = await begin({ transactions }).finish()
    expect(said.map((one) => one.split(' ')[0])).toEqual(['hold', 'release', '1'])
  })
})

test('a balancer that does not hear of the hold is waited for a second, and the switchover goes on', async () => {
  const said = await begin({ transactions: [], progress: () => 'asked' }).finish()
  expect(roughly(said).slice(0, 2)).toEqual(['hold 0', 'stopping 12'])
})

test('a balancer that never says that it is still, as those of another version, is waited for to the end of the hold', async () => {
  const said = await begin({ transactions: [], progress: () => 'held' }).finish()
  expect(roughly(said).slice(0, 2)).toEqual(['hold 0', 'stopping 2'])
})

test('a transaction that a balancer had passed on when it heard counts, although it begins after the hold', async () => {
  const late = { beginsAt: 15, takes: 60_000 }
  const said = await begin({ transactions: [late], progress: () => 'held' }).finish()
  expect(said.map((one) => one.split(' ')[0])).toEqual(['hold', 'release', '1'])
})

test('when no session needs anything more, the server ends without a further round of messages to balancers', async () => {
  const said = await begin({ transactions: [{ beginsAt: -10, takes: 60 }] }).finish()
  expect(said).toEqual(['hold 50', expect.stringMatching(/^ending 7\d$/)])
})

describe('sessions that still need something from the server when no transaction is open any more', () => {
  const readyAfter =
    (ms: number) =>
    (forMs: number): HoldProgress =>
      forMs < ms ? 'still' : 'ready'

  test('are waited for within the hold', async () => {
    const said = await begin({ transactions: [], progress: readyAfter(150) }).finish()
    expect(roughly(said)).toEqual(['hold 0', 'ending 1'])
  })

  test('leave one by one when that takes longer, and are waited for until they are ready', async () => {
    const idle = { beginsAt: 0, takes: 60_000, isDirect: true, isQuestion: true }
    const said = await begin({ transactions: [idle], progress: readyAfter(700) }).finish()
    expect(roughly(said)).toEqual(['hold 0', 'stopping 2', 'ending 7'])
  })
})

test('what became dirty before sessions had logged in ahead is written before clients are held', async () => {
  const { said, finish, checkpoints } = begin({ transactions: [], aheadAt: 400 })
  await finish()
  expect([...checkpoints, ...roughly(said)]).toEqual([0, 400, 'hold 4', 'ending 4'])
})

test('clients are released when something more urgent comes during the hold', async () => {
  const { clock, said, finish, abort } = begin({ transactions: [], progress: () => 'held' })
  await clock.advance(50)
  abort.abort(new Error('something more urgent'))
  await finish()
  expect(said).toEqual(['hold 0', expect.stringMatching(/^release/), 'something more urgent'])
})

test('clients are released when the server cannot be asked during the hold', async () => {
  const said = await begin({ transactions: [], progress: () => 'held', failsAt: 50 }).finish()
  expect(said).toEqual(['hold 0', expect.stringMatching(/^release/), 'no answer'])
})

test('a question of a balancer is no transaction', async () => {
  const question = { beginsAt: 0, takes: 60_000, isDirect: true, isQuestion: true }
  const said = await begin({ transactions: [question] }).finish()
  expect(roughly(said)).toEqual(['hold 0', 'ending 0'])
})

test('what balancers said of a hold is not believed when they may have ended it by themselves meanwhile', async () => {
  const said = await begin({ transactions: [], heldAnswerMs: 4_500 }).finish()
  expect(said).toEqual(['hold 0', expect.stringMatching(/^release/), expect.stringContaining('could not be held')])
})

test('a primary that is to return lets open transactions end before it ends, and pledges nothing', async () => {
  const late = await begin({ transactions: [{ beginsAt: -1_000, takes: 60_000 }] }, endToReturn).finish()
  expect(late).toEqual([expect.stringContaining('1 transaction is still open after 2.0 s')])
  const said = await begin({ transactions: [{ beginsAt: -1_000, takes: 2_000 }] }, endToReturn).finish()
  expect(roughly(said)).toEqual(['hold 10', 'ending 10', 'ended fast', 'stopping 10'])
})
