/** One server: one machine, one address, one of everything. */
import { defineCluster, http } from 'understudy'

export default defineCluster({
  name: 'one-node',
  nodes: { a: {} },
  services: {
    web: http({ run: 'node web.js', instances: 1, listen: 8080, healthy: '/healthz' }),
  },
})
