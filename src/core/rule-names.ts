/**
 * The names of everything that can be noticed or done, each with what it means. Logs, events, receipts, `why` and
 * docs/rules.md speak these words and no other; a name that is retired is never used again.
 */
export const RULES = {
  'two-writers':
    'An instance leads without the lead: its lease has ended, or somebody else holds a higher term. It is killed at once.',
  'cluster-stopped': 'People stop the cluster: every instance ends, every lead is given up, then every node ends.',
  'lease-ending':
    "The store does not answer and the node's lease, which carries its single writers, runs out: each of them ends in order while there is time.",
  'primary-unwell': 'The primary runs and does not do its work: it is killed, and the next in line takes over.',
  'instance-unwell':
    'An instance runs and does not do its work: it hangs, is unhealthy for too long, or never became healthy.',
  'switchover-requested': 'Somebody asked for the lead to move: the primary ends in order and names its successor.',
  'switchover-called-off': 'A switchover cannot be done any more: it is taken off the record, the old primary goes on.',
  'node-drained': 'A node is drained: what runs there moves elsewhere, or stays and says why it cannot.',
  'primary-down': 'The process of the primary has ended, seen by its own node: the lead is given up at once.',
  'primary-not-started':
    'A node won the lead and starts or promotes its instance; where it cannot, it gives the lead away.',
  'no-primary': 'Nobody has led the service yet, or not since the cluster was stopped.',
  'primary-lost': 'The primary fell silent and its lease has ended: the next in line takes the lead.',
  'needs-not-met': 'The service waits for another one that it needs.',
  'instance-missing': 'An instance belongs on this node and does not run there: it is started.',
  'instance-down': 'An instance ended by itself: it is started again at once.',
  'instance-crashing': 'An instance ends again and again: it is started again with pauses that grow.',
  'instance-unproven':
    'An instance that ended again and again runs once more, and was not well for long enough yet to be relied on.',
  'instance-surplus': 'An instance belongs elsewhere: it ends when every place where it should run has a healthy one.',
  'database-new':
    'A replicated service has no data yet: the first node in line makes the first copy, the others clone it.',
  recruit:
    'A new term of a replicated service has begun: each copy pledges it and receives nothing more until it is led.',
  'no-quorum':
    'Too few copies of a replicated service can be reached to know that none holds more: nobody leads until more are back.',
  'read-only':
    'No write can be acknowledged, and that will not be over in a moment: doors lead to a copy that answers reads, and say why.',
  'no-second-copy':
    'Enough copies are fenced, but none may lead yet: a candidate is waited for, or a second copy of its data is missing.',
  handover:
    'A primary hands its replicated service over: it ends leading, and the successor that has everything leads.',
  elect: 'Enough copies are fenced to know that none holds more: the furthest of them is chosen to lead.',
  'rule-not-durable': 'A copy was promoted and opens as soon as enough standbys confirm the rule of its term.',
  lead: 'A copy was chosen to lead and is promoted under the rule of its term.',
  'standby-down': 'The process of a copy that stands by does not run: it is started again.',
  'standby-behind': 'A copy does not follow the primary: it is told to.',
  'standby-diverged':
    'A copy may hold writes that the primary does not have: what is thrown away is kept aside, and it is brought back.',
  'standby-unwell': 'A copy that stands by runs and does not do its work: it is started again.',
  'standby-lost':
    'The primary can do without a copy that fell silent: it is left out of those that must have each write.',
  'standby-added': 'A copy follows and has caught up: from now on it counts among those that must have each write.',
  'rule-change': 'The copies that must have each write are chosen anew, in an order that is safe at every step.',
  'store-away':
    'The store does not answer or cannot be written: what runs goes on, nothing that needs agreement is done.',
  'node-lost': 'A majority of the nodes that watch a node has heard nothing of it for long enough.',
  'too-few-instances': 'Fewer nodes are left than instances were asked for.',
  redundancy:
    'How redundant a service is has changed: all is there, something is missing, or it is not served; with what is missing and why.',
  'zone-crowded':
    'Two instances stand in one zone while another one has none: its nodes are away, or copies stay where their data is.',
  'promise-broken':
    'What an invariant forbids is so, as far as this node can see: a fault of ours, or of a clock or disk that lies.',
  'target-dead': 'A front door gives nothing more to an instance that everybody else still believes to be well.',
  'target-full':
    'A balancer has as many requests or streams open at an instance as `endpoint.maxRequests` or `endpoint.maxStreams` allows: further ones wait, then get 503.',
  'door-closed': 'A front door cannot listen on its address and port.',
  'door-certificate': 'The certificate of a front door cannot be used, or is about to end.',
  'table-refused': 'A front door does not use the routing table that it was sent.',
  agent: 'What an agent says of itself and of the processes beside it.',
} as const

export type Rule = keyof typeof RULES
