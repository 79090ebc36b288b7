/**
 * An instance that ended again and again runs once more. Between two pauses it would look like one that is merely being
 * started, or even like one that is well; whoever asks in that moment must hear what it has behind it. Nothing is done: it
 * is over when the instance was well for long enough to be forgiven (drivers/restart-backoff.ts), or when it ends once more.
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
