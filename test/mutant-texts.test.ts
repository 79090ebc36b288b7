/** A mutant changes a text of the sources: one that is not there any more would be noticed by `npm run mutants` alone, minutes later. */
import { existsSync } from 'node:fs'
import { expect, test } from 'vitest'
import { APPLY_MUTANTS } from './mutants/apply-mutants.ts'
import { DATABASE_MUTANTS } from './mutants/database-mutants.ts'
import { mutated, RUNNER } from './mutants/find.ts'
import { MUTANTS } from './mutants/mutant-list.ts'

test.each([...MUTANTS, ...DATABASE_MUTANTS, ...APPLY_MUTANTS])('$name', (mutant) => {
  expect(mutated(mutant)).not.toBe('')
})

test('a text that is not there is told', () => {
  const [first] = MUTANTS
  if (!first) throw new Error('no mutants')
  expect(() => mutated({ ...first, from: 'this was never written' })).toThrow(/is not there once/)
})

test('what runs the mutated simulator is there', () => {
  expect(existsSync(new URL(`../src/${RUNNER}`, import.meta.url))).toBe(true)
})
