/** What differs between the config that runs and another one, as an operator would say it. */
import type { ClusterSpec } from './model.ts'

export interface ConfigChange {
  /** Such as `web.instances`. */
  readonly path: string
  readonly from: unknown
  readonly to: unknown
}

/** So many are named; the others are counted. */
const MOST_NAMED = 5
const LONGEST_VALUE = 40
/** What holds secrets or is long is named and not shown. */
const HIDDEN = /password|secret|token|env\b|headers\b/i

/** Both as plain JSON. Empty when they are the same. */
export function configChanges(from: ClusterSpec, to: ClusterSpec): readonly ConfigChange[] {
  const changes = differences(byName(from), byName(to), '')
  const isNewOrGone = changes.some((change) => change.from === undefined || change.to === undefined)
  return changes.filter(({ path }) => path !== 'order' || !isNewOrGone) // one that is new changes the order of all
}

/** `web.instances 2 → 3`, `mail is new`: so many, and how many more. Without values that are long or may be secret. */
export function changesText(changes: readonly ConfigChange[]): string {
  const named = changes.slice(0, MOST_NAMED).map(changeText)
  const more = changes.length > MOST_NAMED ? [`and ${changes.length - MOST_NAMED} more`] : []
  return [...named, ...more].join(', ')
}

export function changeText({ path, from, to }: ConfigChange): string {
  const shown = path.replace(/^(services|nodes)\./, (_, list: string) => (list === 'nodes' ? 'node ' : ''))
  if (from === undefined) return `${shown} is new`
  if (to === undefined) return `${shown} is gone`
  return HIDDEN.test(path) ? `${shown} differs` : `${shown} ${valueText(from)} → ${valueText(to)}`
}

function valueText(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  return text.length > LONGEST_VALUE ? `${text.slice(0, LONGEST_VALUE)}…` : text
}

/** Services and nodes are compared by their names, not by their places in a list. */
function byName(spec: ClusterSpec): Readonly<Record<string, unknown>> {
  const named = (list: readonly { readonly name: string }[]) => Object.fromEntries(list.map((one) => [one.name, one]))
  return {
    ...spec,
    nodes: named(spec.nodes),
    services: named(spec.services),
    order: [spec.nodes, spec.services].map((list) => list.map(({ name }) => name)),
  }
}

/** Of plain JSON; the order of fields does not matter. */
export function isSame(one: unknown, other: unknown): boolean {
  if (one === other) return true
  if (Array.isArray(one) && Array.isArray(other))
    return one.length === other.length && one.every((item, index) => isSame(item, other[index]))
  if (!isRecord(one) || !isRecord(other)) return false
  const keys = [...new Set([...Object.keys(one), ...Object.keys(other)])]
  return keys.every((key) => isSame(one[key], other[key]))
}

export function differences(from: unknown, to: unknown, path: string): readonly ConfigChange[] {
  if (isSame(from, to)) return []
  if (!isRecord(from) || !isRecord(to)) return [{ path, from, to }]
  const keys = [...new Set([...Object.keys(from), ...Object.keys(to)])]
  return keys.flatMap((key) => differences(from[key], to[key], path === '' ? key : `${path}.${key}`))
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
