/** A web server without a second copy. */
import { defineCluster, http } from 'understudy'

export default defineCluster({
  name: 'one-instance',
  nodes: { a: {}, b: {}, c: {} },
  services: {
    web: http({ run: 'node web.js', instances: 1, listen: 8080, healthy: '/healthz' }),
  },
})
