/** The parts of docs/rules.md and docs/roles.md that are printed from the core. */
import { ROLE_CHANGES } from '../../src/core/roles.ts'
import { RULES } from '../../src/core/rule-names.ts'

export function rulesTable(): string {
  const rows = Object.entries(RULES).map(([rule, means]) => `| \`${rule}\` | ${means} |`)
  return ['| rule | means |', '|---|---|', ...rows, ''].join('\n')
}

export function rolesTable(): string {
  const rows = ROLE_CHANGES.map(({ from, to, by, needsLead, comment }) => {
    return `| ${from} | ${to} | ${by} | ${needsLead ? 'yes' : 'no'} | ${comment} |`
  })
  const edges = ROLE_CHANGES.map(({ from, to, by }) => `  ${from} --> ${to}: ${by}`)
  return [
    '```mermaid',
    'stateDiagram-v2',
    ...new Set(edges),
    '```',
    '',
    '| from | to | by | only while it holds the lead | why |',
    '|---|---|---|---|---|',
    ...rows,
    '',
  ].join('\n')
}
