import { expect, test } from 'vitest'
import { cluster, peer, running, stopped, view, web } from '../../test/made-up.ts'
import type { PeerFacts } from '../core/view.ts'
import { VirtualClock } from '../lib/virtual-clock.ts'
import { Journal } from './journal.ts'
import { RedundancyNews } from './redundancy-news.ts'

const ended = stopped('web', { failures: 1, retryInMs: 900, note: 'ended with code 3' })

/** What two nodes that see the same tell, when each hears what the other told. */
function twoNodes() {
  const clock = new VirtualClock()
  const told: string[] = []
  const journals = new Map<string, Journal>()
  const news = new Map<string, RedundancyNews>()
  const begin = (name: string) => {
    const journal = new Journal(name, clock, (event) => {
      told.push(`${event.node} ${event.kind}: ${event.why}`)
      for (const [other, its] of journals) if (other !== name) its.hear(event)
    })
    journal.recall(journals.get(name)?.events() ?? [], [])
    journals.set(name, journal)
    news.set(name, new RedundancyNews())
  }
  begin('a')
  begin('b')
  /** For so many seconds b is so, as every node sees it that is alive. */
  const pass = (seconds: number, b: PeerFacts, alive: readonly string[] = ['a', 'b']) => {
    for (let turn = 0; turn < seconds * 2; turn += 1) {
      now += 500
      for (const self of alive) {
        const peers: Record<string, PeerFacts> = { b, c: peer('c', [running('web')]) }
        const a = peer('a', [running('web')], alive.includes('a') ? {} : { state: 'lost' })
        const local = { instances: { web: self === 'a' ? running('web') : (b.report?.instances[0] ?? ended) } }
        const seen = view({ self, cluster: cluster([web()]), peers: { ...peers, a }, local })
        const journal = journals.get(self)
        if (journal) news.get(self)?.see({ ...seen, now }, journal)
      }
    }
    return told.splice(0)
  }
  let now = 0
  return { pass, begin }
}

const well = peer('b', [running('web')])
const ill = peer('b', [ended])

test('each change of redundancy is told once, by one node, with what is missing and why', () => {
  const { pass } = twoNodes()
  expect(pass(5, well)).toEqual(['a told: web is redundant: 3 of 3 instances'])
  expect(pass(5, ill)).toEqual([
    'a noticed: web is degraded: 2 of 3 instances; missing: b (b: its instance is started again in 900 ms: ended with code 3)',
  ])
  expect(pass(60, ill)).toEqual([])
  expect(pass(5, well)).toEqual(['a told: web is redundant: 3 of 3 instances'])
})

test('what is over in a moment is not told', () => {
  const { pass } = twoNodes()
  pass(5, well)
  expect(pass(1.5, ill)).toEqual([])
  expect(pass(5, well)).toEqual([])
})

test('a node that takes over telling, and an agent that was started again, repeat nothing', () => {
  const { pass, begin } = twoNodes()
  pass(5, well)
  begin('a')
  expect(pass(5, well)).toEqual([])
  expect(pass(5, well, ['b'])).toEqual([
    expect.stringMatching(/^b noticed: web is degraded: 2 of 3 instances; missing: a \(a: it is lost/),
  ])
  expect(pass(5, well)).toEqual(['a told: web is redundant: 3 of 3 instances'])
})

test('however many turns there are, redundancy is looked at once a second', () => {
  const journal = new Journal('a', new VirtualClock(), () => undefined)
  const news = new RedundancyNews()
  const seen = view({ self: 'a', cluster: cluster([web()]), peers: { b: well, c: peer('c', [running('web')]) } })
  let looks = 0
  const counted = Object.defineProperty({ ...seen.cluster }, 'services', {
    get() {
      looks += 1
      return seen.cluster.services
    },
  })
  const turn = (now: number) => news.see({ ...seen, cluster: counted, now }, journal)
  turn(1_000)
  const once = looks
  expect(once).toBeGreaterThan(0)
  for (let now = 1_000; now < 2_000; now += 10) turn(now)
  expect(looks).toBe(once)
  turn(2_000)
  expect(looks).toBeGreaterThan(once)
})
