/** Two regions, and every copy in one of them. */
import { defineCluster, http } from 'understudy'

export default defineCluster({
  name: 'copies-in-one-region',
  preset: 'wan',
  nodes: {
    a: { region: 'eu', zone: 'eu-1' },
    b: { region: 'eu', zone: 'eu-2' },
    c: { region: 'us', zone: 'us-1' },
  },
  services: {
    web: http({ run: 'node web.js', instances: 2, listen: 8080, healthy: '/healthz', nodes: ['a', 'b'] }),
  },
})
