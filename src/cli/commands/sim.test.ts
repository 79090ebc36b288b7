import { describe, expect, it } from 'vitest'
import { FAULT_KINDS } from '../../sim/fault-schedule.ts'
import { fakeIo } from '../fake-io.ts'
import { run } from '../program.ts'

async function type(...words: string[]) {
  const io = fakeIo()
  const code = await run(words, io)
  return { code, text: io.text(), complaints: io.complained.join('\n') }
}

describe('sim --faults', () => {
  it('injects these kinds and no others', { timeout: 30_000 }, async () => {
    const { code, text } = await type('sim', '--seeds', '4', '--cores', '1', '--json', '--faults', 'kill primary, cut')
    const { faults, seeds } = JSON.parse(text) as { faults: Record<string, number>; seeds: number }
    expect([code, seeds, Object.keys(faults).sort()]).toEqual([0, 4, ['cut', 'kill primary']])
  })

  it('names those that there are when one is unknown', async () => {
    const { code, complaints } = await type('sim', '--faults', 'kill primary,earthquake')
    expect(code).not.toBe(0)
    expect(complaints).toContain('there is no fault earthquake')
    for (const kind of FAULT_KINDS) expect(complaints).toContain(kind)
  })
})
