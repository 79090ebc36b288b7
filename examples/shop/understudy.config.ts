import { command, defineCluster, http, postgres } from 'understudy'

export default defineCluster({
  name: 'shop',
  nodes: {
    a: { zone: 'north' },
    b: { zone: 'south' },
    c: { zone: 'west' },
  },
  services: {
    // Three replicas. Each write is on two of them before it is acknowledged; port 5432 of every node leads to the
    // current primary.
    db: postgres({
      instances: 3,
      listen: 5432,
      listenStandby: 5433,
      database: { name: 'shop', owner: 'shop', password: 'a cup of tea' },
      settings: { shared_buffers: '32MB', max_connections: 60 },
    }),
    // Two instances serve as long as two nodes are alive; the balancer of every node leads to them.
    web: http({ run: 'node web.mjs', instances: 2, listen: 8080, healthy: '/healthz', needs: ['db'] }),
    // One at a time, and never two: two would send invoices twice.
    worker: command({ run: 'node worker.mjs', redundancy: 'active-passive', instances: 3, needs: ['db'] }),
  },
})
