import { command, defineCluster, http } from 'understudy'

export default defineCluster({
  name: 'shop',
  nodes: {
    a: { zone: 'north' },
    b: { zone: 'south' },
    c: { zone: 'west' },
  },
  services: {
    // Two copies serve at any time, wherever two nodes are alive; every node's front door leads to them.
    web: http({ run: 'node web.mjs', instances: 2, listen: 8080, healthy: '/healthz' }),
    // One at a time, and never two: it would send every invoice twice.
    worker: command({ run: 'node worker.mjs', redundancy: 'active-passive', instances: 3 }),
  },
})
