/** What random runs of a replicated database are made of: how large it is, and what goes wrong how often. */
import type { ClusterSpec } from '../../core/model.ts'
import type { Random } from '../../lib/random.ts'
import type { Weights } from '../fault-schedule.ts'
import { madeUpCluster } from '../made-up-cluster.ts'

const DATABASE_WEIGHTS: Weights = {
  'kill process': 8,
  'freeze process': 5,
  'kill primary': 10,
  'freeze primary': 6,
  unhealthy: 3,
  refused: 3,
  'kill agent': 8,
  'freeze agent': 8,
  'kill node': 8,
  drain: 4,
  'slow kills': 2,
  'jump clock': 1,
  cut: 8,
  'cut one way': 6,
  'cut off': 6,
  'store away': 4,
  'store full': 2,
  'store unsure': 5,
  'store slow': 4,
  'bad weather': 4,
  switchover: 8,
  'stop cluster': 0.5,
  'pause replay': 5,
  'block replay': 4,
  'slow replay': 4,
  'fill disk': 4,
  'slow disk': 3,
  'slow link': 8,
  'pause agent': 4,
  'cancel waits': 4,
  'stuck receiver': 4,
  'late receiver': 4,
  'slow checkpoint': 4,
  'failing rewind': 2,
  'open transaction': 4,
  'foreign log': 4,
  'hasty start': 4,
  'lost log': 4,
  'broken stream': 3,
  'half-open stream': 3,
  impostor: 4,
  'hasty writer': 3,
  'standby reader': 4,
  'stale reader': 4,
}

/** Two faults on top of each other are where a protocol breaks. */
export const DATABASE_SCHEDULE = { weights: DATABASE_WEIGHTS, bursts: 0.5 }

const SHAPES = [
  { nodes: 'abc', instances: 3 },
  { nodes: 'abc', instances: 3 },
  { nodes: 'abc', instances: 3 },
  { nodes: 'abcde', instances: 5 },
  { nodes: 'abc', instances: 3, k: 2 },
  { nodes: 'ab', instances: 2, k: 1 },
  { nodes: 'abc', instances: 2, k: 1 },
  { nodes: 'ab', instances: 2, k: 1, degrade: 'run-alone' },
  { nodes: 'abcd', instances: 4 },
  // Where a single replica may be promoted, only the arithmetic of quorums stands between it and a loss.
  { nodes: 'abc', instances: 3, k: 1, degrade: 'run-alone' },
  { nodes: 'abc', instances: 3, k: 2, degrade: 'run-alone' },
  { nodes: 'abc', instances: 3, k: 1, degrade: 'run-alone' },
  { nodes: 'abcde', instances: 5, k: 3 },
] as const

const compiled = new Map<number, ClusterSpec>()

export function databaseCluster(random: Random): ClusterSpec {
  const index = Math.floor(random() * SHAPES.length)
  const known = compiled.get(index)
  if (known) return known
  const { nodes, ...shape } = SHAPES[index] ?? SHAPES[0]
  const common = { name: 'db', kind: 'database', redundancy: 'active-passive', standby: 'warm' } as const
  const spec = madeUpCluster(
    [...nodes].map((name) => ({ name, zone: `zone-${name}` })),
    [{ ...common, ...shape }],
  )
  compiled.set(index, spec)
  return spec
}
