/**
 * A checker that cannot fail is worth nothing: the simulator must find every mutant. Run by `npm run mutants`, which takes
 * minutes on every core and writes the table in docs/safety.md. Needs the built program. MUTANT_SEEDS asks for more or fewer
 * seeds than the bound; `npm run mutants -- -t NAME` runs one, and then nothing is written.
 */
import { afterAll, describe, expect, it } from 'vitest'
import { APPLY_MUTANTS } from './apply-mutants.ts'
import { DATABASE_MUTANTS } from './database-mutants.ts'
import { type Found, findMutant, MOST_MS } from './find.ts'
import { MUTANTS } from './mutant-list.ts'
import { tableOf, writeTable } from './table.ts'

const MOST_SEEDS = Number(process.env.MUTANT_SEEDS ?? 8_000)

const ALL = [
  ...MUTANTS.map((mutant) => ({ ...mutant, about: 'processes' as const })),
  ...DATABASE_MUTANTS.map((mutant) => ({ ...mutant, about: 'database' as const })),
  ...APPLY_MUTANTS.map((mutant) => ({ ...mutant, about: 'applies' as const })),
]

describe.concurrent('the simulator finds', () => {
  const found = new Map<string, Found>()
  for (const mutant of ALL) {
    it(mutant.name, { timeout: MOST_MS }, async () => {
      const one = await findMutant(mutant, MOST_SEEDS, mutant.about)
      found.set(mutant.name, one)
      console.log(`${mutant.name}: ${one.seeds === null ? 'not found' : `seed ${one.seeds}, ${one.sentence}`}`)
      expect(one.seeds, `${mutant.name} lives after ${MOST_SEEDS} seeds`).not.toBeNull()
    })
  }
  afterAll(() => {
    const inOrder = ALL.flatMap(({ name }) => found.get(name) ?? [])
    console.log(`\n${tableOf(inOrder)}\n`)
    if (inOrder.length === ALL.length) writeTable(inOrder)
  })
})
