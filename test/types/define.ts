/**
 * Held by the TypeScript compiler, never run: each `@ts-expect-error` is a mistake that the compiler must refuse, and
 * without that mistake the same line must compile.
 */
import { command, defineCluster, http } from '../../src/index.ts'

const nodes = { a: {}, b: { zone: 'south' }, c: { address: '10.0.0.3', region: 'eu' } }
const run = 'node server.js'

defineCluster({
  name: 'shop',
  nodes,
  services: {
    queue: command({ run, redundancy: 'active-passive' }),
    web: http({ run: ['node', 'server.js'], listen: 8080, needs: ['queue'], nodes: ['a', 'b'] }),
    mailer: command({ run, needs: ['web', 'queue'], promote: { signal: 'SIGUSR2' }, standby: 'warm' }),
  },
})

// A list that is written apart keeps its names with `as const`.
const allowed = ['a', 'b'] as const
defineCluster({ name: 'shop', nodes, services: { web: http({ run, listen: 8080, nodes: allowed }) } })

// @ts-expect-error `needs` names a service that is not there
defineCluster({ name: 'shop', nodes, services: { web: http({ run, listen: 8080, needs: ['dbb'] }) } })

// @ts-expect-error `nodes` names a node that is not there
defineCluster({ name: 'shop', nodes, services: { web: http({ run, listen: 8080, nodes: ['d'] }) } })

defineCluster({
  name: 'shop',
  nodes,
  services: {
    queue: command({ run }),
    // @ts-expect-error of two names one is wrong
    web: http({ run, listen: 8080, needs: ['queue', 'queu'] }),
  },
})

// @ts-expect-error a node has no such option
defineCluster({ name: 'shop', nodes: { a: { adress: '10.0.0.1' } }, services: {} })

// @ts-expect-error a service is made by http() or command()
defineCluster({ name: 'shop', nodes, services: { web: { run } } })

// @ts-expect-error an HTTP service listens
http({ run })

// @ts-expect-error no such option
http({ run, listen: 8080, instance: 3 })

// @ts-expect-error no such redundancy
command({ run, redundancy: 'active-standby' })

// @ts-expect-error a signal that makes no sense here
command({ run, promote: { signal: 'SIGKILL' } })

// @ts-expect-error no such preset
defineCluster({ name: 'shop', nodes, services: {}, preset: 'fast' })

// @ts-expect-error frozen: what was declared does not change
http({ run, listen: 8080 }).kind = 'http'

http({ run, listen: 8080, check: { status: [200, '300-399'], headers: { Host: 'shop.example' } } })
command({ run, check: { http: '/', status: '200-299', https: true, servername: 'shop.example', ca: './ca.pem' } })

// @ts-expect-error balancers speak plain HTTP to an HTTP service
http({ run, listen: 8080, check: { https: true } })

// @ts-expect-error the value of a header is text
http({ run, listen: 8080, check: { headers: { 'X-Check': 1 } } })
