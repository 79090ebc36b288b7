/** A promise of two seconds behind a lease of five. */
import { command, defineCluster } from 'understudy'

export default defineCluster({
  name: 'lease-over-rto',
  nodes: { a: {}, b: {}, c: {} },
  services: {
    mailer: command({
      run: 'node mailer.js',
      redundancy: 'active-passive',
      instances: 2,
      lease: '5s',
      objectives: { rto: '2s' },
    }),
  },
})
