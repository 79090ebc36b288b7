import { describe, expect, it } from 'vitest'
import { StoppedSpell } from './stopped-spell.ts'

describe('how long a process is stopped before it counts as hung', () => {
  it('300 ms, told once', () => {
    const spell = new StoppedSpell()
    const told = [0, 100, 200, 299, 300, 400].map((now) => spell.sighting(true, now))
    expect(told).toEqual([undefined, undefined, undefined, undefined, true, undefined])
    expect(spell.sighting(false, 500)).toBe(false)
    expect(spell.sighting(false, 600)).toBeUndefined()
  })

  it('a thaw between starts it anew', () => {
    const spell = new StoppedSpell()
    for (let now = 0; now < 2_000; now += 200) {
      expect(spell.sighting(true, now)).toBeUndefined()
      expect(spell.sighting(false, now + 100)).toBeUndefined()
    }
  })

  it('two sightings far apart are not enough: the watcher itself may have been stopped between them', () => {
    const spell = new StoppedSpell()
    expect(spell.sighting(true, 0)).toBeUndefined()
    expect(spell.sighting(true, 10_000)).toBeUndefined()
    expect(spell.sighting(true, 10_100)).toBe(true)
  })
})
