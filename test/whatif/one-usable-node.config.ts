/** A licence that is bound to one server. */
import { command, defineCluster, http } from 'understudy'

export default defineCluster({
  name: 'one-usable-node',
  nodes: { a: {}, b: {}, c: {} },
  services: {
    web: http({ run: 'node web.js', instances: 2, listen: 8080, healthy: '/healthz' }),
    licensed: command({ run: 'node licensed.js', redundancy: 'active-passive', instances: 1, nodes: ['b'] }),
  },
})
