/** Three machines, two of them behind one switch: with that switch goes the majority. */
import { command, defineCluster } from 'understudy'

export default defineCluster({
  name: 'voters-in-one-zone',
  nodes: {
    a: { address: '10.0.0.1', zone: 'north' },
    b: { address: '10.0.0.2', zone: 'north' },
    c: { address: '10.0.0.3', zone: 'south' },
  },
  services: {
    mailer: command({ run: 'node mailer.js', redundancy: 'active-passive', instances: 2 }),
  },
})
