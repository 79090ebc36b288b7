/** A cold standby cannot start within what was promised, even when no lease has to be waited for. */
import { defineCluster, http } from 'understudy'

export default defineCluster({
  name: 'start-over-rto',
  nodes: { a: {}, b: {}, c: {} },
  services: {
    api: http({
      run: 'node api.js',
      redundancy: 'active-passive',
      instances: 2,
      listen: 8080,
      healthy: '/healthz',
      objectives: { rto: '500ms' },
    }),
  },
})
