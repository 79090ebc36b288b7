/**
 * An operator stopped one service: it ends on every node, gives its lease up, and is not started again, over failures and
 * reboots, until it is started by an operator. No other finder looks at it meanwhile (problem.ts).
 */

import type { Finder } from './problem.ts'
import { endOf } from './service-end.ts'

export const serviceStopped: Finder = (view) => {
  if (view.local.stopping) return []
  const stopped = view.cluster.services.filter((service) => service.stopped)
  return stopped.flatMap(({ name }) => endOf(view, name, 'service-stopped', `${name} was stopped by an operator`) ?? [])
}
