import { expect, test } from 'vitest'
import { VirtualClock } from '../../../lib/virtual-clock.ts'
import { SilenceDeadline } from './silence-deadline.ts'

test('a silence after the first word is measured by the shorter limit at once', async () => {
  const clock = new VirtualClock()
  const silence = new SilenceDeadline(clock, 'a', 60_000, 600_000)
  let said = ''
  silence.tooLong.catch(({ message }: Error) => {
    said = message
  })
  await clock.advance(1_000)
  silence.heard()
  await clock.advance(30_000)
  silence.heard()
  await clock.advance(59_000)
  expect(said).toBe('')
  await clock.advance(1_000)
  expect(said).toBe('a has said nothing for too long')
})

test('nothing at all is waited for longer, and its end ends it', async () => {
  const clock = new VirtualClock()
  const [silence, ended] = [
    new SilenceDeadline(clock, 'a', 1_000, 5_000),
    new SilenceDeadline(clock, 'b', 1_000, 5_000),
  ]
  const said: string[] = []
  for (const { tooLong } of [silence, ended]) tooLong.catch(({ message }: Error) => said.push(message))
  ended.end()
  await clock.advance(4_900)
  expect(said).toEqual([])
  await clock.advance(10_000)
  expect(said).toEqual(['a has said nothing for too long'])
})
