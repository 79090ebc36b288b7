/**
 * How much `whatif` has to work out for a large cluster, counted in decisions of the core, which no machine makes more or fewer.
 * `npm run bench:whatif` says how long it takes.
 */
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { compileCluster } from '../src/config/compile.ts'
import { loadConfig } from '../src/config/load-config.ts'
import type { View } from '../src/core/view.ts'
import { WhatIf } from '../src/whatif/whatif.ts'

const counted = vi.hoisted(() => ({ decisions: 0 }))
vi.mock(import('../src/core/decide.ts'), async (original) => {
  const { decide } = await original()
  return {
    decide: (view: View) => {
      counted.decisions += 1
      return decide(view)
    },
  }
})

test('seven nodes, ten services, every pair: answers that are known are not worked out again', async () => {
  const file = join(import.meta.dirname, 'whatif/large.config.ts')
  const { raw } = await loadConfig(file)
  const { spec } = compileCluster(raw, { file, isLocal: () => true })
  const report = new WhatIf({ cluster: spec }).fullReport()
  const { singles, pairs } = report
  expect(pairs.asked).toBe((singles.length * (singles.length - 1)) / 2)
  expect(counted.decisions).toBeGreaterThan(pairs.asked)
  // 113,324 in November 2026; 219,839 without what an inquiry remembers of a service.
  expect(counted.decisions).toBeLessThan(150_000)
})
