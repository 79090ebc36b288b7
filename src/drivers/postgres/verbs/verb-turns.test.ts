import { expect, test } from 'vitest'
import { VerbTurns } from './verb-turns.ts'

test('the same verb is one piece of work; another one waits for its turn', async () => {
  const turns = new VerbTurns()
  const done: string[] = []
  const work = (name: string) => async () => {
    await Promise.resolve()
    done.push(name)
  }
  const first = turns.take('a', work('a'))
  expect(turns.take('a', work('again'))).toBe(first)
  await Promise.all([first, turns.take('b', work('b'))])
  expect(done).toEqual(['a', 'b'])
})

test('an urgent one calls off what is under way and what waits', async () => {
  const turns = new VerbTurns()
  const long = turns.take(
    'copy',
    (signal) =>
      new Promise((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason))
      }),
  )
  const waiting = turns.take('lead', () => Promise.resolve())
  const urgent = turns.push('fence', () => Promise.resolve())
  await expect(long).rejects.toMatchObject({ code: 'UND_REFUSED' })
  await expect(waiting).rejects.toMatchObject({ code: 'UND_REFUSED' })
  await expect(urgent).resolves.toBeUndefined()
})
