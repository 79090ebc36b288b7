/** The table of what was found, as it stands in docs/safety.md between two marks: written there by `npm run mutants`. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Found } from './find.ts'

const SAFETY = join(import.meta.dirname, '..', '..', 'docs', 'safety.md')
const [BEGIN, END] = ['<!-- mutants: written by npm run mutants -->', '<!-- end of mutants -->']

export function tableOf(found: readonly Found[]): string {
  const rows = found.map(
    ({ mutant, about, seeds, sentence }) =>
      `| ${mutant.name} | ${about} | ${mutant.means} | ${seeds ?? 'not found'} | ${sentenceOf(sentence)} |`,
  )
  return [
    '| mutant | worlds of | the thought behind it | seeds | what broke first |',
    '|---|---|---|---|---|',
    ...rows,
  ].join('\n')
}

export function writeTable(found: readonly Found[]): void {
  const text = readFileSync(SAFETY, 'utf8')
  const [before, rest = ''] = text.split(BEGIN)
  const [, after] = rest.split(END)
  if (after === undefined) throw new Error('docs/safety.md has no marks around its table of mutants')
  const counts = found.map(({ seeds }) => seeds ?? Number.POSITIVE_INFINITY).sort((a, b) => a - b)
  const sum = `${counts.filter(Number.isFinite).length} of ${found.length} found within ${counts.at(-1)} seeds, half of them within ${counts[Math.floor((counts.length - 1) / 2)]}.`
  writeFileSync(SAFETY, `${before}${BEGIN}\n\n${sum}\n\n${tableOf(found)}\n\n${END}${after}`)
}

function sentenceOf(sentence: string): string {
  return sentence
    .replace(/^at \d+ ms: /, '')
    .replaceAll('|', '/')
    .slice(0, 140)
}
