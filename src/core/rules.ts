/**
 * The names of everything that can be noticed or done, each with what it means. Logs, events, receipts, `why` and
 * docs/rules.md speak these words and no other; a name that is retired is never used again.
 */
export const RULES = {
  'two-writers':
    'An instance leads without the lead: its lease has ended, or somebody else holds a higher term. It is killed at once.',
  'cluster-stopped': 'People stop the cluster: every instance ends, every lead is given up, then every node ends.',
  'lease-ending': 'The store is away and the lease of a single writer runs out: it ends in order while there is time.',
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
  'instance-surplus': 'An instance belongs elsewhere: it ends when every place where it should run has a healthy one.',
  'store-away':
    'The store does not answer or cannot be written: what runs goes on, nothing that needs agreement is done.',
  'node-lost': 'A majority of the nodes that watch a node has heard nothing of it for long enough.',
  'too-few-instances': 'Fewer nodes are left than instances were asked for.',
  'target-dead': 'A front door gives nothing more to an instance that everybody else still believes to be well.',
  'door-closed': 'A front door cannot listen on its address and port.',
  'table-refused': 'A front door does not use the routing table that it was sent.',
  agent: 'What an agent says of itself and of the processes beside it.',
} as const

export type Rule = keyof typeof RULES
