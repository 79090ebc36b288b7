/**
 * Scenarios are text transcripts: commands, `----`, what happened. Each is performed in the simulator and compared;
 * `UPDATE_SCENARIOS=1` writes what happened into the file, to be read in review.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { tellScenario } from '../src/sim/scenario/runner.ts'

const DIR = join(import.meta.dirname, 'scenarios')
const LINE = '----\n'

describe('scenarios', () => {
  for (const file of readdirSync(DIR).filter((name) => name.endsWith('.txt'))) {
    it(file, async () => {
      const text = readFileSync(join(DIR, file), 'utf8')
      const [commands = '', expected = ''] = text.split(LINE)
      const told = await tellScenario(commands)
      if (process.env.UPDATE_SCENARIOS) writeFileSync(join(DIR, file), `${commands}${LINE}${told.text}`)
      else expect(told.text).toBe(expected)
      expect(told.failures).toEqual([])
    })
  }
})
