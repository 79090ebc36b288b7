/**
 * Says which tests are left out because an engine is missing, and with which command it comes. With CI=true that is a failure.
 *
 * Exercises: drivers/postgres. Engines: postgresql of the system. Fast.
 */
import { expect, test } from 'vitest'
import { INSTALL_POSTGRES, systemPostgres } from './engines.ts'

test("the system's PostgreSQL is there: pg_rewind is tested with it", ({ skip }) => {
  if (systemPostgres) return
  const left = `left out: what needs pg_rewind (traps 8, 21 and 22). It comes with: ${INSTALL_POSTGRES}`
  console.log(left)
  expect(process.env.CI, left).not.toBe('true')
  skip(left)
})
