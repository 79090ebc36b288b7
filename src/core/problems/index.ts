/**
 * Every problem, most urgent first. The order matters only between problems of one service: `choose` takes the first that
 * has something to do. Safety comes before service, people's wishes before repairs, repairs before tidiness.
 */
import { promiseBroken, zoneCrowded } from './alarms.ts'
import { clusterStopped } from './cluster-stopped.ts'
import { primaryDrained, switchoverRequested } from './handover.ts'
import { instanceMissing } from './instance-missing.ts'
import { instanceSurplus } from './instance-surplus.ts'
import { instanceUnproven } from './instance-unproven.ts'
import { instanceUnwell } from './instance-unwell.ts'
import { leaseEnding } from './lease-ending.ts'
import { noPrimary } from './no-primary.ts'
import { nodeLost, storeAway, tooFewInstances } from './notices.ts'
import { primaryDown } from './primary-down.ts'
import { primaryNotStarted } from './primary-not-started.ts'
import type { Finder } from './problem.ts'
import { databaseNew } from './replicated/database-new.ts'
import { elect } from './replicated/elect.ts'
import { follow } from './replicated/follow.ts'
import { handover } from './replicated/handover.ts'
import { lead } from './replicated/lead.ts'
import { primaryFailed } from './replicated/primary-failed.ts'
import { readOnly } from './replicated/read-only.ts'
import { recruit } from './replicated/recruit.ts'
import { ruleChange } from './replicated/rule-change.ts'
import { standbySurplus, standbyUnwell } from './replicated/standby-unwell.ts'
import { termIsOver } from './replicated/two-writers.ts'
import { twoWriters } from './two-writers.ts'

export const FINDERS: readonly Finder[] = [
  twoWriters,
  termIsOver,
  clusterStopped,
  recruit,
  readOnly,
  elect,
  leaseEnding,
  instanceUnwell,
  switchoverRequested,
  primaryDrained,
  handover,
  primaryFailed,
  lead,
  databaseNew,
  standbyUnwell,
  follow,
  ruleChange,
  primaryDown,
  primaryNotStarted,
  noPrimary,
  instanceMissing,
  instanceUnproven,
  instanceSurplus,
  standbySurplus,
  storeAway,
  nodeLost,
  tooFewInstances,
  zoneCrowded,
  promiseBroken,
]
