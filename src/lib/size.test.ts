import { expect, test } from 'vitest'
import { parseSize } from './size.ts'

test.each([
  ['512MiB', 512 * 1024 * 1024],
  ['2GB', 2e9],
  ['1.5kib', 1536],
  ['10 kB', 10_000],
  ['7b', 7],
  [4096, 4096],
])('%s', (text, bytes) => expect(parseSize(text)).toBe(bytes))

test.each(['', '10', 'MiB', '10 minutes', '-1MB', '1e9B', '99999999GiB', -1, 1.5, Number.NaN])(
  '%s is no size',
  (text) => {
    expect(parseSize(text)).toBeUndefined()
  },
)
