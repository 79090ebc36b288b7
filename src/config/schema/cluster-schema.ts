/** The schema of a cluster, but for its services: each kind of service has its own (kinds/). */
import { z } from 'zod'
import { clusterTimingShape, serviceTimingShape } from './timing-schema.ts'
import { address, group, label, name, oneOf, option, port, required, words } from './vocabulary.ts'

export const nodeSchema = group(
  {
    address: option(address, {
      means: "The IPv4 address that this node's agent, balancer and instances listen on.",
      default: '127.0.0.11 for the first node without one, 127.0.0.12 for the next, …',
      turn: 'Leave it out to hold a whole cluster on one machine; write it when each node is a server.',
      breaks:
        'An address that is not of the machine: the node does not start there. One that changes: the node is lost when it does.',
    }),
    zone: option(label, {
      means: 'What fails together: a rack, a power feed, a hall. Instances are spread over zones first.',
      default: "the node's own name: each node fails alone",
      turn: 'The same word for nodes that would die of the same cause.',
      breaks: 'Left out for nodes that share a cause of failure, both instances of a service may run on them.',
    }),
    region: option(label, {
      means: 'Where in the world the node is.',
      default: "'default'",
      turn: 'Write it when nodes are in several regions. Today it is shown, and decides nothing.',
      breaks: 'Nothing.',
    }),
  },
  'a node',
  "an object, such as { address: '10.0.0.1', zone: 'north' }, or {}",
)

const isNotEmpty = (value: object) => Object.keys(value).length > 0

const apiShape = {
  port: option(port, {
    means: "The port that every agent serves the API on, at its node's own address.",
    default: '7400',
    turn: 'Another one when 7400 is in use.',
    breaks: 'Taken by another program: the agent does not start and says so.',
  }),
}

/** Services are looked into by kind, once their kind is known. */
export const clusterShape = {
  name: required(name, {
    means: 'What the cluster is called in status, logs and metrics. Lower-case letters, digits and dashes.',
    turn: 'A word of your own.',
    breaks: 'Changing it makes another cluster: its state folder is another one.',
  }),
  nodes: required(
    z.record(name, nodeSchema).refine(isNotEmpty).register(words, {
      what: 'an object of nodes by name',
      write: 'an object, such as { a: {}, b: {}, c: {} }',
    }),
    {
      means: 'The servers, by name.',
      turn: 'Three or more: with two, the loss of one leaves no majority once they are separate machines.',
      breaks: 'Renaming a node makes another one: what ran on the old one is started elsewhere.',
    },
  ),
  services: required(
    z.record(name, z.unknown()).refine(isNotEmpty).register(words, {
      what: 'an object of services by name',
      write: "an object, such as { web: http({ run: 'node server.js', listen: 8080 }) }",
    }),
    {
      means: 'What is kept running, by name: `http({ … })`, `command({ … })` or `postgres({ … })`.',
      turn: 'One entry for each thing that may fail by itself.',
      breaks: 'Renaming a service stops the old one and starts the new one.',
    },
  ),
  preset: option(oneOf(['lan', 'wan']), {
    means: 'How patient the cluster is, as one word: `lan` for one machine or one site, `wan` for several sites.',
    default: "'lan'",
    turn: '`wan` as soon as nodes are more than some milliseconds apart.',
    breaks:
      '`lan` between sites: suspicions that come and go, primaries that are replaced without need. `wan` on one site: slower failovers.',
  }),
  timing: option(
    group({ ...clusterTimingShape, ...serviceTimingShape }, 'timing', "an object, such as { lease: '3s' }"),
    {
      means: 'Single numbers of the preset, changed for the whole cluster.',
      default: "the preset's numbers",
      turn: 'After a preset, one number at a time, with a drill before and after.',
      breaks: 'See each number.',
    },
  ),
  api: option(group(apiShape, 'API options', 'an object, such as { port: 7400 }'), {
    means: 'The road in: what the CLI and dashboards talk to.',
    default: 'as below',
    turn: 'See each option.',
    breaks: 'See each option.',
  }),
}

export const clusterSchema = z.strictObject(clusterShape).register(words, {
  what: 'a cluster',
  write: "what defineCluster({ name: 'shop', nodes: { … }, services: { … } }) returns",
})
