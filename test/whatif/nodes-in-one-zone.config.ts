/** Two nodes have the disk that it needs, and both stand in the same hall. */
import { defineCluster, http } from 'understudy'

export default defineCluster({
  name: 'nodes-in-one-zone',
  nodes: { a: { zone: 'north' }, b: { zone: 'north' }, c: { zone: 'south' }, d: { zone: 'west' } },
  services: {
    files: http({ run: 'node files.js', instances: 2, listen: 8080, healthy: '/healthz', nodes: ['a', 'b'] }),
  },
})
