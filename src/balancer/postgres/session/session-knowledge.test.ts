import { expect, test } from 'vitest'
import { VirtualClock } from '../../../lib/virtual-clock.ts'
import { SessionKnowledge, STRICT } from './session-knowledge.ts'

function begin() {
  const clock = new VirtualClock()
  const knowledge = new SessionKnowledge(clock, () => ({ ...STRICT, customSettings: ['app.told'] }))
  return { clock, knowledge, database: knowledge.of('shop') }
}

const answer = (fingerprint: string) => [
  ['text', '', '', `current_setting('app.${fingerprint}')`],
  ['fingerprint', fingerprint, '', ''],
]

test('one session reads the catalogue, the others wait for it', () => {
  const { database } = begin()
  expect(database.wanted(0, false)).toBe('all')
  database.asks()
  expect(database.wanted(0, false)).toBeUndefined()
  let gone = 0
  expect(database.waits(0, () => (gone += 1))).toBe(true)
  database.answered(answer('one'))
  expect(gone).toBe(1)
  expect(database.catalogue?.fingerprint).toBe('one')
  expect(database.waits(-1, () => (gone += 1))).toBe(false)
})

test('it is compared every two seconds while the database is used, and once more on leaving', async () => {
  const { clock, database } = begin()
  database.asks()
  database.answered(answer('one'))
  await clock.advance(1_000)
  expect(database.wanted(clock.mono(), false)).toBeUndefined()
  expect(database.wanted(clock.mono(), true)).toBe('fingerprint')
  await clock.advance(1_500)
  expect(database.wanted(0, false), 'it was not used since').toBeUndefined()
  expect(database.wanted(clock.mono(), false)).toBe('fingerprint')
  database.asks()
  database.answered([['fingerprint', 'one', '', '']])
  expect(database.wanted(clock.mono(), true)).toBeUndefined()
})

test('another fingerprint: it is read anew, and nothing is believed until then', async () => {
  const { clock, knowledge, database } = begin()
  database.asks()
  database.answered(answer('one'))
  knowledge.takeChanged()
  await clock.advance(3_000)
  database.asks()
  database.answered([['fingerprint', 'two', '', '']])
  expect(database.catalogue).toBeUndefined()
  expect(database.wanted(clock.mono(), false)).toBe('all')
  database.asks()
  database.answered(answer('two'))
  expect(database.catalogue?.fingerprint).toBe('two')
  expect(knowledge.takeChanged()).toBe(true)
  expect(knowledge.takeChanged()).toBe(false)
})

test('a question that fails is asked again after a while, one whose session is gone at once', async () => {
  const { clock, database } = begin()
  database.asks()
  database.abandon()
  expect(database.wanted(0, false)).toBe('all')
  database.asks()
  database.answered(undefined)
  expect(database.wanted(0, false)).toBeUndefined()
  await clock.advance(2_500)
  expect(database.wanted(0, false)).toBe('all')
})

test('a session is asked for every custom setting that any has heard of', () => {
  const { knowledge, database } = begin()
  knowledge.namesFor(new Set(['app.mine']), database)
  database.asks()
  database.answered(answer('read'))
  const names = knowledge.namesFor(new Set(['app.other']), database)
  expect([...names].sort()).toEqual(['app.mine', 'app.other', 'app.read', 'app.told'])
})
