/**
 * The names of everything that can be noticed or done, each with what it means. Events, receipts, `why` and
 * docs/rules.md use these words and no other; a retired name is never used again.
 */
export const RULES = {
  'two-writers':
    'An instance runs as primary without holding the lease, or in a term that is over. It is killed at once.',
  'cluster-stopped':
    'The operator stops the cluster: every instance ends, every lease is given up, then every agent ends.',
  'service-stopped':
    'An operator stopped a service: it ends on every node and stays stopped until it is started again.',
  'service-removed':
    'The config does not name a service any more: it ends on every node, its data is set aside, and its records are deleted.',
  'node-leaving':
    'The config does not name a node any more: it hands over what it has and ends when nothing depends on it.',
  'config-refused':
    'A newer config was written by a later version of Understudy, and this node cannot act on it: it goes on with the one before.',
  'lease-ending':
    "The store does not answer and the node's lease, which carries its single writers, runs out: each of them ends in order while there is time.",
  'primary-unhealthy': 'The primary runs and fails its checks: it is killed, and a standby takes over.',
  'instance-unhealthy':
    'An instance runs and fails its checks: it hangs, is unhealthy for too long, or never became healthy.',
  'switchover-requested':
    'An operator or a program requested a switchover: the primary ends in order and names its successor.',
  'switchover-called-off':
    'A switchover cannot be done any more, or a transaction did not end in time: the primary leads on, and no session was closed.',
  'node-drained': 'A node is drained: its instances move to other nodes, or stay where no other node can take them.',
  'primary-down': 'The process of the primary has ended, seen by its own node: a successor takes over at once.',
  'primary-not-started':
    'A node holds the lease of a service and starts or promotes its instance. Where it cannot, it gives the lease up.',
  'no-primary': 'The service has no primary yet, or none since the cluster was stopped.',
  'primary-lost':
    'The primary is silent. A single writer is replaced when its lease has ended, a database when its quorum has been recruited.',
  'secret-missing': 'A service names a secret that is not set: no instance of it is started or replaced before it is.',
  'needs-not-met': 'The service waits for another one that it needs.',
  'instance-missing': 'An instance belongs on this node and does not run there: it is started.',
  'instance-down': 'An instance ended by itself: it is started again at once.',
  'instance-crashing': 'An instance ends repeatedly: it is started again with a growing backoff.',
  'instance-unproven':
    'An instance that ended repeatedly runs again and has not been healthy for long enough to count as recovered.',
  'instance-outdated':
    'An instance does not run as the config says now: it is replaced in its turn, and a primary is switched over first.',
  'rollout-stopped':
    'The new instance of a service failed: no further instance is replaced until the service has another config.',
  'rollout-undone':
    'The new instance of a service failed and `update.onFailure` is `rollback`: the config before comes back.',
  'instance-surplus': 'An instance belongs elsewhere: it ends when every place where it should run has a healthy one.',
  'database-new': 'A database has no data yet: the first node in line creates it, the others clone it.',
  recruit: 'A new term of a database has begun: each replica pledges it, stops receiving WAL and reports its position.',
  'no-quorum': 'Too few replicas are reachable to elect a primary without losing acknowledged writes.',
  'read-only':
    'No write can be acknowledged until more replicas return: endpoints lead to a replica that serves reads.',
  'no-second-replica':
    'Enough replicas are recruited, but a second replica of the data, or the requested successor, is still awaited.',
  switchover:
    'A primary switches its database over: it stops accepting writes, and the successor that has all of them is promoted.',
  elect: 'Enough replicas are recruited: the one with the most WAL is elected primary.',
  'quorum-row-missing':
    'A replica was promoted. Its endpoint opens when its synchronous standbys have confirmed the first row of the new term.',
  promote: 'An elected replica is promoted under the QuorumConfig of its term.',
  'standby-down': 'The process of a standby does not run: it is started again.',
  'standby-behind': 'A standby does not follow the primary: it is told to.',
  'standby-diverged':
    'A former primary may hold WAL that the primary lacks: the WAL is archived, and the replica is rewound or re-cloned.',
  'standby-unhealthy': 'A standby runs and fails its checks: it is started again.',
  'standby-lost':
    'A synchronous standby is unreachable and the others are enough: it is taken out of the QuorumConfig.',
  'standby-added': 'A standby has caught up: it becomes a synchronous standby.',
  'standbys-change': 'The synchronous standbys are changed, in an order that is safe at every step.',
  'store-away':
    'The store does not answer or cannot be written: what runs goes on, nothing that needs agreement is done.',
  'node-lost': 'A majority of the nodes that watch a node has heard nothing of it for long enough.',
  'too-few-instances': 'Fewer nodes are left than instances were asked for.',
  redundancy:
    'The redundancy of a service has changed: redundant, degraded or unhealthy, with what is missing and why.',
  'zone-crowded': 'Two instances run in one zone while another zone has none.',
  'promise-broken':
    'An invariant does not hold, as far as this node can see: a bug in Understudy, or a clock or disk that misreports.',
  'target-ejected': 'A balancer ejected an instance that the other nodes still report as healthy.',
  'target-full':
    'A balancer has as many requests or streams open at an instance as `endpoint.maxRequests` or `endpoint.maxStreams` allows: further ones wait, then get 503.',
  'endpoint-closed': 'A balancer cannot listen on the address and port of an endpoint.',
  'endpoint-certificate': 'The certificate of an endpoint cannot be used, or expires soon.',
  'table-refused': 'A balancer refused the routing table that it was sent.',
  agent: 'What an agent says of itself and of the processes beside it.',
} as const

export type Rule = keyof typeof RULES
