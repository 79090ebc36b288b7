/**
 * Every problem, most urgent first. The order matters only between problems of one service: `choose` takes the first that
 * has something to do. Safety comes before service, people's wishes before repairs, repairs before tidiness.
 */
import { clusterStopped } from './cluster-stopped.ts'
import { primaryDrained, switchoverRequested } from './handover.ts'
import { instanceMissing } from './instance-missing.ts'
import { instanceSurplus } from './instance-surplus.ts'
import { instanceUnwell } from './instance-unwell.ts'
import { leaseEnding } from './lease-ending.ts'
import { noPrimary } from './no-primary.ts'
import { nodeLost, storeAway, tooFewInstances } from './notices.ts'
import { primaryDown } from './primary-down.ts'
import { primaryNotStarted } from './primary-not-started.ts'
import type { Finder } from './problem.ts'
import { twoWriters } from './two-writers.ts'

export const FINDERS: readonly Finder[] = [
  twoWriters,
  clusterStopped,
  leaseEnding,
  instanceUnwell,
  switchoverRequested,
  primaryDrained,
  primaryDown,
  primaryNotStarted,
  noPrimary,
  instanceMissing,
  instanceSurplus,
  storeAway,
  nodeLost,
  tooFewInstances,
]
