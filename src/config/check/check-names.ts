/** Names that one part of a config says of another: `needs` and `nodes` of a service. */
import { nearest } from '../../lib/nearest.ts'
import { type Findings, show, under } from '../complaint.ts'
import type { Draft } from '../draft.ts'

export function checkNames(draft: Draft, findings: Findings): void {
  for (const { path, options } of draft.services) {
    checkList(`${path}.needs`, options.needs, 'service', draft.serviceNames, findings)
    checkList(`${path}.nodes`, options.nodes, 'node', draft.nodeNames, findings)
    if (options.nodes?.length === 0) findings.complain(`${path}.nodes`, 'names no node', 'some nodes, or leave it out')
  }
  checkCycles(draft, findings)
}

function checkList(
  path: string,
  list: readonly string[] | undefined,
  what: 'service' | 'node',
  known: readonly string[],
  findings: Findings,
): void {
  for (const [index, name] of (list ?? []).entries()) {
    if (list?.indexOf(name) !== index) {
      findings.complain(under(path, index), `is ${show(name)} again`, 'each name once')
    } else if (!known.includes(name)) {
      const meant = nearest(name, known)
      const problem = `is ${show(name)}, and there is no such ${what}`
      const write = known.length === 0 ? `the name of a ${what}` : `one of: ${known.join(', ')}`
      findings.complain(under(path, index), meant ? `${problem}; did you mean "${meant}"?` : problem, write)
    }
  }
}

/**
 * Services that wait for each other never start. Depth first; a name that is met again on the way down closes a circle,
 * which is told once, at the service where it was entered.
 */
function checkCycles(draft: Draft, findings: Findings): void {
  const needs = new Map(draft.services.map(({ name, options }) => [name, options.needs ?? []]))
  const paths = new Map(draft.services.map(({ name, path }) => [name, path]))
  const done = new Set<string>()
  // A stack of our own: a chain of needs may be longer than what the language lets functions nest.
  for (const start of needs.keys()) {
    const trail: { name: string; rest: string[] }[] = []
    const enter = (name: string) => trail.push({ name, rest: [...(needs.get(name) ?? [])] })
    if (!done.has(start)) enter(start)
    for (let top = trail.at(-1); top !== undefined; top = trail.at(-1)) {
      const next = top.rest.shift()
      if (next === undefined) {
        done.add(top.name)
        trail.pop()
        continue
      }
      const from = trail.findIndex(({ name }) => name === next)
      if (from >= 0) {
        const circle = [...trail.slice(from).map(({ name }) => name), next].join(' → ')
        findings.complain(`${paths.get(next)}.needs`, `circular dependency: ${circle}`, 'needs that begin somewhere')
      } else if (!done.has(next)) enter(next)
    }
  }
}
