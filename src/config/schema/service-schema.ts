/** The schema of what every kind of service has. A kind spreads this into its own (kinds/). */
import { serviceTimingShape } from './timing-schema.ts'
import { count, duration, group, names, oneOf, option } from './vocabulary.ts'

const objectivesShape = {
  rto: option(duration, {
    means: 'The longest acceptable time from a fault until the service is back.',
    default: 'none',
    turn: 'What your users would accept, not what you hope for.',
    breaks: 'Nothing at run time: receipts say whether it was kept.',
  }),
  rpo: option(count(0, 1_000_000_000, 0), {
    means: 'How many acknowledged writes may be lost.',
    default: 'none',
    turn: '0, unless the data can be made again.',
    breaks: 'Nothing at run time: receipts say whether it was kept.',
  }),
}

const updateShape = {
  atOnce: option(count(1, 1000, 1), {
    means: 'How many instances may be down for it at a time.',
    default: '1',
    turn: 'Higher when there are many instances and time matters.',
    breaks: 'As many as there are instances, and the service pauses.',
  }),
  pause: option(duration, {
    means: 'How long a new instance must be healthy before the next one is replaced.',
    default: "'10s'",
    turn: 'As long as a bad version needs to show that it is bad.',
    breaks: 'Too short, and a version that fails after a few seconds is rolled out everywhere.',
  }),
  onFailure: option(oneOf(['stop', 'rollback']), {
    means:
      'What happens when a new instance fails: the others stay as they are (`stop`), or the service gets the config before as well (`rollback`).',
    default: "'stop'",
    turn: 'rollback when the version before can read what the new one has written.',
    breaks: 'With stop, the service has one instance less until an operator acts.',
  }),
}

export const serviceShape = {
  instances: option(count(1, 1000, 3), {
    means: 'How many instances run, each on a node of its own.',
    default: '2, or 1 when the service may use one node only',
    turn: 'One more than may fail at the same time without a client noticing.',
    breaks: 'With 1, every failure is a pause until a new instance has started.',
  }),
  redundancy: option(oneOf(['active-active', 'active-passive']), {
    means: 'Whether every instance serves (`active-active`), or one serves and the others stand by (`active-passive`).',
    default: "'active-active'",
    turn: 'active-passive when two instances at work would do harm: a scheduler, a single writer.',
    breaks:
      'active-active for a program that must be alone runs its work twice. active-passive makes a failover wait for the lease.',
  }),
  needs: option(names, {
    means: 'Services that must be healthy before an instance of this one is first started.',
    default: 'none',
    turn: 'Name what the program cannot start without, and no more: it should outlive a failover of the rest.',
    breaks: 'A name too many delays the first start. It never stops what already runs.',
  }),
  nodes: option(names, {
    means: 'The only nodes that this service may use.',
    default: 'all',
    turn: 'Name the nodes that have what the program needs: a disk, a device, a licence.',
    breaks: 'With as many nodes as instances, a lost node cannot be replaced.',
  }),
  objectives: option(group(objectivesShape, 'objectives', "an object, such as { rto: '1s', rpo: 0 }"), {
    means: 'What this service is expected to survive; drills and receipts measure against it.',
    default: 'none',
    turn: 'Write them before the first drill, not after it.',
    breaks: 'Nothing at run time: receipts say whether they were kept.',
  }),
  update: option(group(updateShape, 'update', "an object, such as { atOnce: 1, pause: '10s' }"), {
    means:
      'How its instances are replaced when the config changes or a restart is asked for: in turns, a primary last.',
    default: 'one at a time',
    turn: 'See below.',
    breaks: 'See below.',
  }),
  ...serviceTimingShape,
}
