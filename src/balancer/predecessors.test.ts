/** What a balancer says in the name of those that handed over to it and still have connections. */
import { expect, test } from 'vitest'
import type { RouteCounters } from '../core/routing-table.ts'
import type { ToBalancer } from './control-protocol.ts'
import { Predecessors } from './predecessors.ts'

const route = (requests: number, open = 0): RouteCounters => ({
  ...{ service: 'web', purpose: 'serving', requests, open },
  ...{ connections: requests, retried: 0, failed: 0, held: 0, streams: open, full: 0 },
})

function one() {
  const predecessors = new Predecessors()
  const [key, heard] = [{}, [] as ToBalancer[]]
  predecessors.join(key, (message) => heard.push(message))
  return { predecessors, key, heard }
}

test('they hear what is forwarded, and a table is in use when all of them use it', () => {
  const { predecessors, key, heard } = one()
  predecessors.forward({ type: 'drain-and-exit' })
  expect(heard).toEqual([{ type: 'drain-and-exit' }])
  expect(predecessors.use(7)).toBe(false)
  predecessors.says(key, { type: 'applied', version: 7 })
  expect([predecessors.use(7), predecessors.use(8)]).toEqual([true, false])
  predecessors.gone(key)
  expect(predecessors.use(8)).toBe(true)
})

test('counters are those of all, never fall, and what was open ends with its process', () => {
  const { predecessors, key } = one()
  predecessors.says(key, { type: 'counters', routes: [route(10, 2), { ...route(5), service: 'other' }] })
  expect(predecessors.addTo([route(1)])).toMatchObject([{ requests: 11, open: 2, streams: 2 }])
  predecessors.gone(key)
  expect(predecessors.addTo([route(3)])).toMatchObject([{ requests: 13, open: 0, streams: 0 }])
})

test('those that go on with the next balancer are counted there, and those that ended before stay counted here', () => {
  const { predecessors, key } = one()
  predecessors.says(key, { type: 'counters', routes: [route(10, 2)] })
  predecessors.gone(key)
  const living = {}
  predecessors.join(living, () => {})
  predecessors.says(living, { type: 'counters', routes: [route(100)] })
  predecessors.release()
  predecessors.gone(living)
  expect(predecessors.addTo([route(1)])).toMatchObject([{ requests: 11 }])
})

test('a place is still, or has sessions ahead, when all of them say so', () => {
  const { predecessors, key } = one()
  expect(predecessors.agreeOn('still', ['db@a#1'])).toEqual([])
  predecessors.says(key, { type: 'still', places: ['db@a#1', 'db@b#1'] })
  expect(predecessors.agreeOn('still', ['db@a#1'])).toEqual(['db@a#1'])
  expect(predecessors.agreeOn('ahead', ['db@b'])).toEqual([])
})

test('a place is ready when all of them say so, and those of an earlier version never do', () => {
  const { predecessors, key } = one()
  predecessors.says(key, { type: 'still', places: ['db@a#1'] })
  expect(predecessors.agreeOn('ready', ['db@a#1'])).toEqual([])
  predecessors.says(key, { type: 'still', places: ['db@a#1'], ready: ['db@a#1'] })
  expect(predecessors.agreeOn('ready', ['db@a#1'])).toEqual(['db@a#1'])
  predecessors.says(key, { type: 'still', places: [] })
  expect(predecessors.agreeOn('ready', ['db@a#1'])).toEqual([])
})

test('sessions of one change of primary are added up, those of another one are not', () => {
  const { predecessors, key } = one()
  const tally = { service: 'db', term: 2, held: 1, moved: 1, cut: { copy: 1 }, longestHoldMs: 30 }
  predecessors.says(key, { type: 'sessions', ...tally, held: 2, cut: { copy: 1, 'in-statement': 1 } })
  expect(predecessors.sum(tally)).toMatchObject({ held: 3, moved: 2, cut: { copy: 2, 'in-statement': 1 } })
  expect(predecessors.sum({ ...tally, term: 3 })).toMatchObject({ held: 1, moved: 1 })
})

test('what makes no sense is heard and changes nothing, and what another one says is not heard here', () => {
  const { predecessors, key } = one()
  for (const said of [{ type: 'from-the-future' }, { type: 'counters', routes: 7 }, null, 7])
    expect(predecessors.says(key, said)).toBeNull()
  expect(predecessors.says({}, { type: 'applied', version: 1 })).toBeUndefined()
})
