import { expect, test } from 'vitest'
import { BOUNDS, RELATIONS } from './check/check-timing.ts'
import { PRESETS } from './presets.ts'

test.each(Object.entries(PRESETS))('%s holds what a config must hold', (_, { cluster, service }) => {
  const ms: Readonly<Record<string, number>> = { ...cluster, ...service }
  for (const { name, times, than } of RELATIONS) {
    expect(ms[`${name}Ms`], `${name} and ${than}`).toBeGreaterThanOrEqual(times * (ms[`${than}Ms`] ?? Number.NaN))
  }
  expect(Object.keys(ms).sort()).toEqual(
    Object.keys(BOUNDS)
      .map((name) => `${name}Ms`)
      .sort(),
  )
  for (const [name, [least, most]] of Object.entries(BOUNDS)) {
    expect(ms[`${name}Ms`], name).toBeGreaterThanOrEqual(least)
    expect(ms[`${name}Ms`], name).toBeLessThanOrEqual(most)
  }
})

test('wan is nowhere less patient than lan', () => {
  for (const part of ['cluster', 'service'] as const) {
    for (const [name, ms] of Object.entries(PRESETS.lan[part])) {
      expect(Object.entries(PRESETS.wan[part]).find(([key]) => key === name)?.[1], name).toBeGreaterThanOrEqual(ms)
    }
  }
})
