/** Two of three nodes in one rack. */
import { command, defineCluster, http } from 'understudy'

export default defineCluster({
  name: 'shared-zone',
  nodes: { a: { zone: 'north' }, b: { zone: 'north' }, c: { zone: 'south' } },
  services: {
    web: http({ run: 'node web.js', instances: 3, listen: 8080, healthy: '/healthz' }),
    mailer: command({ run: 'node mailer.js', redundancy: 'active-passive', instances: 2 }),
  },
})
