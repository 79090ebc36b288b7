import { describe, expect, test } from 'vitest'
import { type Attempted, afterFailure, mayBeRepeated, RetryBudget } from './retry.ts'

const get: Attempted = {
  mayBeRepeated: true,
  answerBegun: false,
  bodyKept: true,
  resets: 0,
  moves: 0,
  betterPlace: true,
}
const post: Attempted = { ...get, mayBeRepeated: false }

describe('after a failure', () => {
  test('nothing was sent: the next target, whatever the method', () => {
    expect(afterFailure('unreached', get)).toBe('next-target')
    expect(afterFailure('unreached', { ...post, resets: 1 })).toBe('next-target')
  })
  test('reset: once more, for what may be repeated and is still whole', () => {
    expect(afterFailure('reset', get)).toBe('again')
    expect(afterFailure('reset', { ...get, resets: 1 })).toBe('unknown-fate')
    expect(afterFailure('reset', { ...get, bodyKept: false })).toBe('unknown-fate')
    expect(afterFailure('reset', post)).toBe('unknown-fate')
  })
  test('hung: moved once, to a better place only; a POST waits', () => {
    expect(afterFailure('hung', get)).toBe('again')
    expect(afterFailure('hung', { ...get, moves: 1 })).toBe('wait')
    expect(afterFailure('hung', { ...get, betterPlace: false })).toBe('wait')
    expect(afterFailure('hung', post)).toBe('wait')
  })
  test('the process is gone: moved, even after a reset; a POST is told the truth', () => {
    expect(afterFailure('lost', { ...get, resets: 1, moves: 1 })).toBe('again')
    expect(afterFailure('lost', post)).toBe('unknown-fate')
  })
  test('once the answer has begun nothing is ever tried again', () => {
    for (const failure of ['reset', 'lost', 'unreached'] as const) {
      expect(afterFailure(failure, { ...get, answerBegun: true })).toBe('cut')
    }
    expect(afterFailure('hung', { ...get, answerBegun: true })).toBe('wait')
  })
})

test('which requests may be repeated', () => {
  for (const method of ['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE'])
    expect(mayBeRepeated(method, false)).toBe(true)
  for (const method of ['POST', 'PATCH', 'MKCOL', 'LOCK']) expect(mayBeRepeated(method, false)).toBe(false)
  expect(mayBeRepeated('POST', true)).toBe(true)
})

describe('the budget', () => {
  test('three at least, a fifth of what is open otherwise; the others wait their turn', () => {
    const budget = new RetryBudget()
    let went = 0
    for (let count = 0; count < 10; count++) budget.requestOpened()
    for (let count = 0; count < 5; count++) budget.whenAllowed(() => (went += 1))
    expect(went).toBe(3)
    budget.retryEnded()
    expect(went).toBe(4)
    for (let count = 0; count < 90; count++) budget.requestOpened()
    budget.retryEnded()
    expect(went).toBe(5)
    expect(budget.allowance).toBe(20)
  })

  test('who leaves does not take a place', () => {
    const budget = new RetryBudget()
    const went: string[] = []
    const goes = ['a', 'b', 'c', 'd', 'e'].map((name) => () => void went.push(name))
    for (const go of goes) budget.whenAllowed(go)
    const [, , , fourth] = goes
    if (fourth) budget.forget(fourth)
    budget.retryEnded()
    expect(went).toEqual(['a', 'b', 'c', 'e'])
  })
})
