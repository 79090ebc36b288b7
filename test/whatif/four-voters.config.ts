/** Four machines, each a member of the store (`--voters a,b,c,d`): a cut through the middle stops it. */
import { command, defineCluster } from 'understudy'

export default defineCluster({
  name: 'four-voters',
  nodes: {
    a: { address: '10.0.0.1', zone: 'north' },
    b: { address: '10.0.0.2', zone: 'south' },
    c: { address: '10.0.0.3', zone: 'west' },
    d: { address: '10.0.0.4', zone: 'east' },
  },
  services: {
    mailer: command({ run: 'node mailer.js', redundancy: 'active-passive', instances: 2 }),
  },
})
