import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'

/** Takes minutes: not a part of `npm test`. Each mutant is a process of its own, one for each core at a time. */
export default defineConfig({
  test: {
    include: ['test/mutants/*.test.ts'],
    maxConcurrency: Number(process.env.MUTANT_CORES ?? availableParallelism()),
  },
})
