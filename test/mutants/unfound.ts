/**
 * Mistakes that the simulator was not seen to find in a bounded number of seeds. They stay here, checked to still apply,
 * so that whoever makes the worlds harsher knows what to try first. docs/safety.md says why each hides.
 */
import type { Mutant } from './list.ts'

export const UNFOUND_MUTANTS: readonly Mutant[] = [
  {
    name: 'pledge-of-an-older-term-counts',
    file: 'core/copies.ts',
    from: 'if (!replica?.fenced || replica.pledged !== term || replica.quarantined || !replica.position) return []',
    to: 'if (!replica?.fenced || replica.quarantined || !replica.position) return []',
    means: 'fenced is fenced',
    breaks: 'nothing is lost',
  },
  {
    name: 'only-the-newest-rule-is-beaten',
    file: 'core/problems/replicated/elect.ts',
    from: 'const missing = record.replica.rules.find((rule) => !beats(fenced, rule))',
    to: 'const missing = record.replica.rules.slice(-1).find((rule) => !beats(fenced, rule))',
    means: 'the last rule replaces those before it',
    breaks: 'nothing is lost',
  },
  {
    name: 'rewound-copy-counts-at-once',
    file: 'sim/database/follow.ts',
    from: '  verb.note({ quarantinedUntil: log.length })\n  verb.disk.log',
    to: '  verb.disk.log',
    means: 'pg_rewind said that it is done',
    breaks: 'nothing is lost',
  },
]
