import { defineConfig } from 'vitest/config'

/** Takes minutes: not a part of `npm test`. */
export default defineConfig({ test: { include: ['test/mutants/*.test.ts'], testTimeout: 300_000 } })
