/** Three web servers that all need one cart. */
import { defineCluster, http } from 'understudy'

export default defineCluster({
  name: 'weaker-need',
  nodes: { a: {}, b: {}, c: {} },
  services: {
    web: http({ run: 'node web.js', instances: 3, listen: 8080, healthy: '/healthz', needs: ['cart'] }),
    cart: http({ run: 'node cart.js', instances: 1, listen: 8081, healthy: '/healthz' }),
  },
})
