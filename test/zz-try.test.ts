import { appendFileSync } from 'node:fs'
import { it } from 'vitest'
import { DATABASE_MUTANTS } from '/work/wt/replica/test/mutants/database.ts'
import { findMutant, mutated } from '/work/wt/replica/test/mutants/find.ts'

const log = (...a: unknown[]) => appendFileSync('/tmp/mut.txt', a.join(' ') + '\n')
const only = process.env.ONLY
for (const m of DATABASE_MUTANTS)
  if (!only || only.split(',').includes(m.name))
    it(m.name, { timeout: 200000 }, async () => {
      try {
        mutated(m)
        const t = Date.now()
        const r = await findMutant(m, Number(process.env.SEEDS ?? 300), '--database')
        log('MUT', m.name, r.seeds, r.sentence.slice(0, 110), Date.now() - t)
      } catch (e) {
        log('MUT', m.name, 'ERR', String(e).slice(0, 150))
      }
    })
