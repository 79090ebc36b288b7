import fc from 'fast-check'
import { expect, test } from 'vitest'
import { editDistance, nearest } from './nearest.ts'

test.each([
  ['adress', 'address', 1],
  ['lsiten', 'listen', 1],
  ['listen', 'listen', 0],
  ['', 'abc', 3],
  ['kitten', 'sitting', 3],
])('%s → %s', (a, b, distance) => {
  expect(editDistance(a, b)).toBe(distance)
  expect(editDistance(b, a)).toBe(distance)
})

test('one edit is a distance of one', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1 }), fc.nat(), (text, n) => {
      const at = n % text.length
      expect(editDistance(text, text.slice(0, at) + text.slice(at + 1))).toBe(1)
    }),
  )
})

test('a slip is understood, another word is not', () => {
  const options = ['listen', 'instances', 'needs', 'nodes', 'run']
  expect(nearest('lisen', options)).toBe('listen')
  expect(nearest('Instances', options)).toBe('instances')
  expect(nearest('instance', options)).toBe('instances')
  expect(nearest('need', options)).toBe('needs')
  expect(nearest('timeout', options)).toBeUndefined()
  expect(nearest('z', ['a', 'b'])).toBeUndefined()
  expect(nearest('anything', [])).toBeUndefined()
})
