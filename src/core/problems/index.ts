/**
 * Every problem, most urgent first. The order matters only between problems of one service: `choose` takes the first
 * that has something to do. Safety comes before service, operators' requests before repairs, repairs before tidiness.
 */

import { configChange } from '../replicated/config-change.ts'
import { databaseNew } from '../replicated/database-new.ts'
import { elect } from '../replicated/elect.ts'
import { primaryFailed } from '../replicated/primary-failed.ts'
import { promote } from '../replicated/promote.ts'
import { readOnly } from '../replicated/read-only.ts'
import { recruit } from '../replicated/recruit.ts'
import { stalePrimary } from '../replicated/stale-primary.ts'
import { standbyBehind } from '../replicated/standby-behind.ts'
import { standbySurplus, standbyUnhealthy } from '../replicated/standby-unhealthy.ts'
import { switchover } from '../replicated/switchover.ts'
import { promiseBroken, zoneCrowded } from './alarms.ts'
import { clusterStopped } from './cluster-stopped.ts'
import { instanceMissing } from './instance-missing.ts'
import { instanceOutdated } from './instance-outdated.ts'
import { instanceSurplus } from './instance-surplus.ts'
import { instanceUnhealthy } from './instance-unhealthy.ts'
import { instanceUnproven } from './instance-unproven.ts'
import { leaseEnding } from './lease-ending.ts'
import { noPrimary } from './no-primary.ts'
import { nodeLeaving } from './node-leaving.ts'
import { configRefused, nodeLost, secretMissing, storeAway, tooFewInstances } from './notices.ts'
import { primaryDown } from './primary-down.ts'
import { primaryNotStarted } from './primary-not-started.ts'
import type { Finder } from './problem.ts'
import { rolloutFailed } from './rollout-failed.ts'
import { serviceRemoved } from './service-removed.ts'
import { serviceStopped } from './service-stopped.ts'
import { primaryDrained, switchoverRequested } from './switchover-requested.ts'
import { twoWriters } from './two-writers.ts'

export const FINDERS: readonly Finder[] = [
  twoWriters,
  stalePrimary,
  clusterStopped,
  serviceStopped,
  serviceRemoved,
  secretMissing,
  rolloutFailed,
  recruit,
  readOnly,
  elect,
  leaseEnding,
  instanceUnhealthy,
  switchoverRequested,
  primaryDrained,
  switchover,
  primaryFailed,
  promote,
  databaseNew,
  standbyUnhealthy,
  standbyBehind,
  configChange,
  primaryDown,
  primaryNotStarted,
  noPrimary,
  instanceMissing,
  instanceOutdated,
  instanceUnproven,
  instanceSurplus,
  standbySurplus,
  storeAway,
  nodeLost,
  nodeLeaving,
  configRefused,
  tooFewInstances,
  zoneCrowded,
  promiseBroken,
]
