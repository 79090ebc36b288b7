/** Two regions with the timing of one site. */
import { command, defineCluster } from 'understudy'

export default defineCluster({
  name: 'impatient-timing',
  nodes: {
    a: { region: 'eu' },
    b: { region: 'eu' },
    c: { region: 'us' },
    d: { region: 'us' },
    e: { region: 'asia' },
  },
  services: {
    mailer: command({ run: 'node mailer.js', redundancy: 'active-passive', instances: 3 }),
  },
})
