/**
 * A checker that cannot fail is worth nothing: the simulator must find every mutant. Run by `npm run mutants`, which
 * takes minutes; it prints the table for docs/safety.md. Needs the built program.
 */
import { describe, expect, it } from 'vitest'
import { DATABASE_MUTANTS } from './database.ts'
import { type Found, findMutant } from './find.ts'
import { MUTANTS } from './list.ts'
import { tableOf } from './table.ts'

const MOST_SEEDS = Number(process.env.MUTANT_SEEDS ?? 2_000)

describe('the simulator finds', () => {
  const found: Found[] = []
  for (const mutant of MUTANTS) {
    it(mutant.name, { timeout: 300_000 }, async () => {
      const one = await findMutant(mutant, MOST_SEEDS)
      found.push(one)
      expect(one.seeds, `${mutant.name} lives after ${MOST_SEEDS} seeds`).not.toBeNull()
    })
  }
  for (const mutant of DATABASE_MUTANTS) {
    it(mutant.name, { timeout: 300_000 }, async () => {
      const one = await findMutant(mutant, MOST_SEEDS, 'database')
      found.push(one)
      expect(one.seeds, `${mutant.name} lives after ${MOST_SEEDS} seeds`).not.toBeNull()
    })
  }
  it('prints the table', () => console.log(`\n${tableOf(found)}\n`))
})
