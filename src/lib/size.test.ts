import { expect, test } from 'vitest'
import { formatSize, parseSize } from './size.ts'

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

test('sizes are told in the largest unit that keeps two digits', () => {
  expect([0, 640, 1_024, 12_300, 1_572_864, 2 ** 34, 2 ** 60].map(formatSize)).toEqual([
    '0 B',
    '640 B',
    '1.0 KiB',
    '12 KiB',
    '1.5 MiB',
    '16 GiB',
    '1048576 TiB',
  ])
})
