/** Counts what becomes of roles in a run, by the rows of core/roles.ts: a row that no run reaches has not been tried. */
import { type RoleChange, rowFor } from '../core/roles.ts'
import type { Step } from '../core/step.ts'
import type { Driver, StartRequest } from '../drivers/driver.ts'

/** The step that each verb of a driver performs. */
const VERBS: ReadonlyMap<string | symbol, Step['kind']> = new Map([
  ['start', 'start'],
  ['promote', 'promote'],
  ['create', 'create'],
  ['promoteReplica', 'promote-replica'],
  ['follow', 'follow'],
  ['recruit', 'recruit'],
  ['demote', 'demote'],
  ['stop', 'stop'],
  ['kill', 'kill'],
])

export function nameOfChange({ from, to, by }: Pick<RoleChange, 'from' | 'to' | 'by'>): string {
  return `${from} to ${to} by ${by}`
}

/** The driver as an agent sees it: each verb that is said to it is told first, by the row that allows it. */
export function counted<D extends Driver>(driver: D, told: (change: string) => void): D {
  const known = new Map<string | symbol, unknown>()
  const wrapped = (name: string | symbol): unknown => {
    const own: unknown = Reflect.get(driver, name)
    if (typeof own !== 'function') return own
    const kind = VERBS.get(name)
    if (kind === undefined) return own.bind(driver)
    return (...words: unknown[]) => {
      const row = rowFor(driver.observe(), stepOf(kind, words))
      if (row) told(nameOfChange(row))
      return own.apply(driver, words)
    }
  }
  return new Proxy(driver, {
    get: (_, name) => {
      if (!known.has(name)) known.set(name, wrapped(name))
      return known.get(name)
    },
  })
}

/** Enough of a step to find its row. */
function stepOf(kind: Step['kind'], [first]: readonly unknown[]): Step {
  return { kind, service: '', ...(kind === 'start' && { role: (first as StartRequest).role }) } as unknown as Step
}
