import { expect, test } from 'vitest'
import { WriteRefusal } from './refuse-writes.ts'

const rule = { term: 1, primary: 'a', standbys: ['b', 'c'], k: 1, id: 'one' }
const streaming = (...nodes: string[]) => ({ streaming: nodes.map((node) => ({ node, lagBytes: 0 })) })

test('a quorum that is gone for long enough cannot confirm; a hiccup can, and its return ends it at once', () => {
  const confirmation = new WriteRefusal(2_000)
  expect(confirmation.canBeHad(rule, streaming('b'), 0)).toBe(true)
  expect(confirmation.canBeHad(rule, streaming(), 1_000)).toBe(true)
  expect(confirmation.canBeHad(rule, streaming('b'), 2_000)).toBe(true)
  expect(confirmation.canBeHad(rule, streaming(), 2_500)).toBe(true)
  expect(confirmation.canBeHad(rule, streaming('stranger'), 4_500)).toBe(false)
  expect(confirmation.canBeHad(rule, streaming('c'), 4_501)).toBe(true)
})

test('a replica that is no primary, or alone in its quorum, waits for no standby', () => {
  const confirmation = new WriteRefusal(0)
  expect(confirmation.canBeHad(null, streaming(), 5_000)).toBe(true)
  expect(confirmation.canBeHad({ ...rule, standbys: [], k: 0 }, streaming(), 5_000)).toBe(true)
})
