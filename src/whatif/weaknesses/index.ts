/** Every weakness, worst first. A new one is a finder in one of these files, a line here, and a config that shows it. */

import { fewNodes, impatientTiming, oneAddress, oneMachine, sharedZone, voters } from './node-weaknesses.ts'
import {
  leaseOverRto,
  notSurvived,
  startOverRto,
  tooFewWriteCopies,
  tooManyWriteCopies,
} from './objective-weaknesses.ts'
import { copiesInOneRegion, nodesInOneZone, oneInstance, oneUsableNode, weakerNeed } from './replica-weaknesses.ts'
import type { Asked, Finder, Weakness } from './weakness.ts'

export type { Weakness } from './weakness.ts'

const FINDERS: readonly Finder[] = [
  fewNodes,
  voters,
  oneUsableNode,
  nodesInOneZone,
  oneInstance,
  tooManyWriteCopies,
  tooFewWriteCopies,
  leaseOverRto,
  startOverRto,
  copiesInOneRegion,
  sharedZone,
  weakerNeed,
  impatientTiming,
  oneMachine,
  oneAddress,
]

const ORDER: readonly Weakness['severity'][] = ['outage', 'objective', 'risk', 'note']

export function weaknessesOf(asked: Asked): Weakness[] {
  const found = FINDERS.flatMap((find) => find(asked))
  const all = [...found, ...notSurvived(asked, found)]
  return all.sort((a, b) => ORDER.indexOf(a.severity) - ORDER.indexOf(b.severity))
}
