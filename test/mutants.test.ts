/** `npm run mutants` takes minutes and is run by hand; that its mistakes still fit the sources is seen at every change. */
import { expect, test } from 'vitest'
import { DATABASE_MUTANTS } from './mutants/database-mutants.ts'
import { mutated } from './mutants/find.ts'
import { MUTANTS } from './mutants/mutant-list.ts'

test.each([...MUTANTS, ...DATABASE_MUTANTS])('$name: its text is there, once', (mutant) => {
  expect(mutated(mutant)).not.toBe('')
})
