/** Two machines: neither has a majority without the other. */
import { command, defineCluster, http } from 'understudy'

export default defineCluster({
  name: 'two-nodes',
  nodes: { a: { address: '10.0.0.1' }, b: { address: '10.0.0.2' } },
  services: {
    web: http({ run: 'node web.js', instances: 2, listen: 8080, healthy: '/healthz' }),
    mailer: command({ run: 'node mailer.js', redundancy: 'active-passive', instances: 2 }),
  },
})
