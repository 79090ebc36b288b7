import { expect, it } from 'vitest'
import { lineDiff } from './line-diff.ts'

it('says nothing of texts that are the same', () => expect(lineDiff('a\nb', 'a\nb')).toEqual([]))

it('shows what went and what came, with three lines around it', () => {
  const before = ['1', '2', '3', '4', '5', '6', '7', '8'].join('\n')
  expect(lineDiff(before, before.replace('5', 'five\nfive and a half'))).toEqual([
    '@@ -2,7 +2,8 @@',
    ' 2',
    ' 3',
    ' 4',
    '-5',
    '+five',
    '+five and a half',
    ' 6',
    ' 7',
    ' 8',
  ])
})

it('keeps changes that are far from each other apart', () => {
  const lines = Array.from({ length: 30 }, (_, at) => `line ${at}`)
  const after = lines.map((line) => (line === 'line 2' || line === 'line 25' ? `${line}!` : line))
  const diff = lineDiff(lines.join('\n'), after.join('\n'))
  expect(diff.filter((line) => line.startsWith('@@'))).toEqual(['@@ -1,6 +1,6 @@', '@@ -23,7 +23,7 @@'])
})
