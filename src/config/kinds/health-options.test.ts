import { expect, test } from 'vitest'
import { view } from '../../../test/made-up.ts'
import { routesFor } from '../../core/routing.ts'
import { compileCluster } from '../compile.ts'
import { InvalidConfig } from '../complaint.ts'
import { command, http } from '../define.ts'

const shop = { name: 'shop', nodes: { a: {} } }

function complaintsOf(check: Record<string, unknown>, kind = 'command'): string[] {
  try {
    compileCluster({ ...shop, services: { web: { kind, options: { run: 'x', listen: 80, check } } } })
  } catch (error) {
    if (!(error instanceof InvalidConfig)) throw error
    return error.complaints.map(({ path, problem }) => `${path.replace(/^services.web.check/, '')} ${problem}`)
  }
  return []
}

test('how a path is asked: balancers are told the same', () => {
  const web = http({ run: 'x', listen: 80, check: { status: [200, '300-399'], headers: { Host: 'shop.example' } } })
  const tls = command({ run: 'x', listen: 443, check: { http: '/ok', https: true, ca: 'ca.pem', servername: 'a.b' } })
  const { spec } = compileCluster({ ...shop, services: { web, tls } }, { file: '/etc/u/understudy.json' })
  const asks = [
    {
      status: [
        [200, 200],
        [300, 399],
      ],
      headers: { Host: 'shop.example' },
    },
    { https: { servername: 'a.b', ca: '/etc/u/ca.pem' } },
  ]
  expect(spec.services.map(({ options }) => options.health)).toEqual([
    { http: '/', exec: null, asks: asks[0] },
    { http: '/ok', exec: null, asks: asks[1] },
  ])
  const probes = routesFor(view({ cluster: spec })).map(({ probe: { everyMs, timeoutMs, ...probe } }) => probe)
  expect(probes).toEqual([
    { path: '/', ...asks[0] },
    { path: '/ok', ...asks[1] },
  ])
})

test('what a health check may not say is named, and no value of a header is shown', () => {
  const asks = (check: Record<string, unknown>) => complaintsOf({ http: '/', ...check })
  expect(asks({ status: 200 })).toEqual([])
  for (const status of ['99', '2xx', '300-200', '200-', 600, [], ['200', 'ok']]) {
    expect(asks({ status }), `${status}`).toEqual([expect.stringMatching(/^\.status\S* is .+, not a status, a range/)])
  }
  const secret = 'Bearer s3cret\r\nX-Other: 1'
  expect(asks({ headers: { Authorization: secret } })).toEqual(['.headers.Authorization is not the value of a header'])
  for (const name of ['X y', 'X:y', '', 'X\r\nY', 'Content-Length', 'Transfer-encoding']) {
    expect(asks({ headers: { [name]: 's3cret' } }), name).toEqual([
      expect.stringMatching(/^\.headers.+ is ".*", not the name of a header that a check may set$/),
    ])
  }
  expect(asks({ headers: { Host: 'a', host: 'b' } })).toEqual(['.headers says host twice'])
  expect(asks({ https: true, servername: '10.0.0.1' })).toEqual(['.servername is "10.0.0.1", not the name of a host'])
  expect(asks({ ca: './ca.pem' })).toEqual(['.ca is for a check over HTTPS'])
  expect(complaintsOf({ status: 200 })).toEqual(['.status is for a path that is asked'])
  expect(complaintsOf({})).toEqual([' says nothing to check'])
  expect(complaintsOf({}, 'http')).toEqual([' says nothing to check'])
  expect(complaintsOf({ https: true }, 'http')).toEqual(['.https unknown option'])
})
