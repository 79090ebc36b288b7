import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { KEY_BYTES, keyIdOf, openText, sealText } from './sealed-text.ts'

const key = randomBytes(KEY_BYTES)

describe('a sealed text', () => {
  test('opens with its key and its label, whatever is in it', () => {
    for (const text of ['', 'hunter2', 'ä €\n', 'x'.repeat(70_000)])
      expect(openText(key, sealText(key, text, 'a'), 'a')).toBe(text)
  })

  test('does not open with another key or another label', () => {
    const sealed = sealText(key, 'hunter2', 'db-password 1')
    expect(openText(randomBytes(KEY_BYTES), sealed, 'db-password 1')).toBeUndefined()
    expect(openText(key, sealed, 'db-password 2')).toBeUndefined()
    expect(openText(key, sealed, 'db-passwore 1')).toBeUndefined()
    expect(openText(key, sealed, '')).toBeUndefined()
  })

  test('does not open when one bit of it was changed, or when it was cut short', () => {
    const sealed = Buffer.from(sealText(key, 'hunter2', 'a'), 'base64')
    for (let at = 0; at < sealed.length; at += 1) {
      const changed = Buffer.from(sealed)
      changed[at] = (changed[at] ?? 0) ^ 1
      expect(openText(key, changed.toString('base64'), 'a')).toBeUndefined()
      expect(openText(key, sealed.subarray(0, at).toString('base64'), 'a')).toBeUndefined()
    }
  })

  test('is another one each time, and the value is not in it', () => {
    const sealed = sealText(key, 'hunter2', 'a')
    expect(sealText(key, 'hunter2', 'a')).not.toBe(sealed)
    expect(Buffer.from(sealed, 'base64').includes('hunter2')).toBe(false)
  })
})

test('the name of a key says which it is and nothing of it', () => {
  expect(keyIdOf(key)).toMatch(/^[0-9a-f]{16}$/)
  expect(keyIdOf(key)).toBe(keyIdOf(Buffer.from(key)))
  expect(keyIdOf(randomBytes(KEY_BYTES))).not.toBe(keyIdOf(key))
  expect(key.toString('hex')).not.toContain(keyIdOf(key))
})
