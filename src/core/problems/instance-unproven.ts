/**
 * An instance that crashed repeatedly has been restarted. Between two back-offs it looks like one that is starting, or
 * even like a healthy one; status must show its crashes in that moment, too. There is no step: it is over when the
 * instance was healthy for long enough (drivers/restart-backoff.ts), or when it ends once more.
 */
import { localInstance } from '../view.ts'
import { isCrashing } from './instance-missing.ts'
import { forEachUnreplicated } from './problem.ts'

export const instanceUnproven = forEachUnreplicated((view, { name }) => {
  const instance = localInstance(view, name)
  if (instance.state === 'stopped' || !isCrashing(instance)) return undefined
  const { failures, health, lastEnd } = instance
  const now = health === 'healthy' ? 'runs again, not for long yet' : 'is being tried again'
  const before = lastEnd ? `; before that: ${lastEnd}` : ''
  return {
    rule: 'instance-unproven',
    service: name,
    evidence: 'first-hand',
    why: `${name} on ${view.self} ended ${failures} times in a row and ${now}${before}`,
    steps: [],
    told: 'not',
  }
})
