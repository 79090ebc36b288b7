/**
 * No primary can exist, or the one that there is can have nothing confirmed: said once, with what to do about it. Nothing is
 * done here. The doors lead to a copy that answers reads (routing.ts), and whoever comes back ends it.
 */

import { forEachReplicated } from '../problems/problem.ts'
import { readOnlyOf } from './read-only.ts'

export const readOnly = forEachReplicated((view, service) => {
  const found = readOnlyOf(view, service)
  if (!found) return undefined
  return { rule: 'read-only', service: service.name, evidence: 'inferred', why: found.why, steps: [], told: 'once' }
})
