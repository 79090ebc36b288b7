/** Seven nodes in three zones and ten services: what the time that an answer takes is measured on. */
import { command, defineCluster, http } from 'understudy'

export default defineCluster({
  name: 'large',
  nodes: {
    a: { zone: 'north' },
    b: { zone: 'north' },
    c: { zone: 'south' },
    d: { zone: 'south' },
    e: { zone: 'west' },
    f: { zone: 'west' },
    g: { zone: 'east' },
  },
  services: {
    shop: http({ run: 'node shop.js', instances: 3, listen: 8080, healthy: '/healthz', needs: ['cart', 'stock'] }),
    cart: http({ run: 'node cart.js', instances: 3, listen: 8081, healthy: '/healthz' }),
    stock: http({ run: 'node stock.js', instances: 2, listen: 8082, healthy: '/healthz' }),
    search: http({ run: 'node search.js', instances: 3, listen: 8083, healthy: '/healthz' }),
    images: http({ run: 'node images.js', instances: 2, listen: 8084, healthy: '/healthz' }),
    mailer: command({ run: 'node mailer.js', redundancy: 'active-passive', instances: 2 }),
    invoices: command({ run: 'node invoices.js', redundancy: 'active-passive', instances: 3, needs: ['stock'] }),
    reports: command({ run: 'node reports.js', redundancy: 'active-passive', instances: 2 }),
    scheduler: command({
      run: 'node scheduler.js',
      redundancy: 'active-passive',
      instances: 3,
      standby: 'warm',
      promote: { signal: 'SIGUSR2' },
    }),
    queue: command({ run: 'node queue.js', redundancy: 'active-passive', instances: 3, listen: 9000 }),
  },
})
