/** `node test/mutants/table.ts`-like entry: prints the table for docs/safety.md. Run with vitest's project `mutants`. */
import type { Found } from './find.ts'

export function tableOf(found: readonly Found[]): string {
  const rows = found.map(
    ({ mutant, seeds, sentence }) =>
      `| ${mutant.name} | ${mutant.means} | ${seeds ?? 'not found'} | ${sentence.replace(/^at \d+ ms: /, '').replaceAll('|', '/')} |`,
  )
  return ['| mutant | the thought behind it | seeds | what broke first |', '|---|---|---|---|', ...rows].join('\n')
}
