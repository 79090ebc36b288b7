/** The schema of every number in a preset: five of the cluster, eight of each service. */
import { duration, option } from './vocabulary.ts'

export const serviceTimingShape = {
  lease: option(duration, {
    means: 'How long a silent primary may still be running; a successor waits at least this long.',
    default: '2s (wan: 10s)',
    turn: 'Shorter: a lost node is replaced sooner. Longer: a slow disk or a busy machine does not end a healthy primary.',
    breaks:
      'Too short, and a primary is stopped because its agent could not renew in time. It never allows two primaries. Only active-passive services use it.',
  }),
  grace: option(duration, {
    means: 'The time between asking an instance to end and killing it.',
    default: '10s',
    turn: 'As long as your longest request or job needs to finish.',
    breaks:
      'Too short, and work is cut off at every deployment and switchover. Too long, and a program that ignores the signal delays them.',
  }),
  settle: option(duration, {
    means: 'The time between telling the balancers to send nothing more to an instance and asking it to end.',
    default: '300ms (wan: 1.5s)',
    turn: 'Longer when a program stops accepting connections at once and the network between nodes is slow.',
    breaks: 'Too short, and requests on their way meet a closed port; idempotent ones are retried, others fail.',
  }),
  startWithin: option(duration, {
    means: 'How long a fresh instance may take to become healthy.',
    default: '30s',
    turn: 'Longer for programs that warm caches or migrate data when they start.',
    breaks:
      'Too short, and a slow starter is killed and started again for ever. Too long, and one that hangs while starting goes unnoticed.',
  }),
  unhealthyFor: option(duration, {
    means: 'How long an instance may be unhealthy before it is replaced.',
    default: '3s (wan: 10s)',
    turn: 'Longer when an instance heals by itself; balancers stop using it long before.',
    breaks: 'Too short, and one slow spell restarts it. Too long, and one instance is missing for that time.',
  }),
  probeEvery: option(duration, {
    means: 'The time between two health checks.',
    default: '250ms (wan: 1s)',
    turn: 'Longer when a check is expensive for the program.',
    breaks: 'Too long, and a hung instance is noticed late. Too short, and checks are a load of their own.',
  }),
  probeTimeout: option(duration, {
    means: 'How long one health check may take.',
    default: '250ms (wan: 1s)',
    turn: 'Longer when the check itself does slow work.',
    breaks: 'Shorter than a healthy answer under load, and healthy instances count as unhealthy.',
  }),
  hold: option(duration, {
    means: 'How long a balancer holds a request or connection when no instance can take it, before it gives up.',
    default: '5s (wan: 15s; postgres(): 20s)',
    turn: 'Longer than a failover, shorter than the patience of your clients.',
    breaks:
      'Shorter than a failover, and clients see errors during it. Much longer, and they see a page that never loads.',
  }),
}

export const clusterTimingShape = {
  heartbeat: option(duration, {
    means: 'The time between two heartbeats to each peer.',
    default: '100ms (wan: 500ms)',
    turn: 'Longer between distant sites, or with dozens of nodes.',
    breaks: 'Too long, and silence is noticed late. Too short, and agents spend their time on heartbeats.',
  }),
  suspectFloor: option(duration, {
    means: 'The shortest silence that makes a peer suspect.',
    default: '300ms (wan: 1.5s)',
    turn: 'Longer when suspicions come and go; `understudy events` shows them.',
    breaks: 'Too short, and a pause of the garbage collector looks like a death; work starts that is called off again.',
  }),
  suspectCeiling: option(duration, {
    means: 'The longest silence before a peer is suspect, however unsteady its heartbeats were.',
    default: '600ms (wan: 3s)',
    turn: 'Longer on networks that lose packets in bursts.',
    breaks: 'Too long, and the loss of a node with an unsteady network is noticed late.',
  }),
  lostAfter: option(duration, {
    means: 'How long a majority must call a node dead until its instances are placed elsewhere.',
    default: '2s (wan: 10s)',
    turn: 'Longer when nodes restart quickly and starting an instance elsewhere is expensive.',
    breaks:
      'Shorter than the restart of an agent, and instances are started elsewhere for nothing. Too long, and an instance is missing for that time.',
  }),
  stagger: option(duration, {
    means: 'How long the second-best candidate waits for the best one to take a free lease.',
    default: '150ms (wan: 750ms)',
    turn: 'Longer when the store is slow.',
    breaks:
      'Too short, and the second-best may win. Too long, and a failover waits when the best candidate is gone too.',
  }),
}
