import { expect, test } from 'vitest'
import { deepFreeze } from './deep-freeze.ts'

test('objects and arrays are frozen all the way down, and the same object comes back', () => {
  const value = {
    name: 'a',
    list: [{ on: true }, [1, 2]],
    none: null,
    absent: undefined,
    deep: { deeper: { deepest: 1 } },
  }
  expect(deepFreeze(value)).toBe(value)
  const parts = [value, value.list, value.list[0], value.list[1], value.deep, value.deep.deeper]
  expect(parts.filter((part) => !Object.isFrozen(part))).toEqual([])
})

test('what is no object is given back as it is', () => {
  expect([deepFreeze('text'), deepFreeze(1), deepFreeze(null), deepFreeze(undefined)]).toEqual([
    'text',
    1,
    null,
    undefined,
  ])
})
