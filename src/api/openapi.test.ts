/** The page, the routes and the answers must be the same thing three times. */
import { describe, expect, it } from 'vitest'
import { cluster, web } from '../../test/made-up.ts'
import { systemClock } from '../lib/clock.ts'
import { createApp } from './api-server.ts'
import { Feeds } from './event-feed.ts'
import { FakeSurface } from './fake-surface.ts'
import { describeApi } from './openapi.ts'
import type { Route } from './route-shape.ts'
import { ROUTES } from './routes.ts'
import { SCHEMAS, type Schema } from './schemas.ts'

const surface = new FakeSurface()
surface.happen('a-1')
surface.happen('b-1', { service: null, rule: 'agent', kind: 'told' })
const app = createApp({ surface, token: 't' }, new Feeds(surface, systemClock))
const page = describeApi(ROUTES) as { paths: Record<string, Record<string, { responses: Record<string, unknown> }>> }

const BODIES: Readonly<Partial<Record<string, unknown>>> = {
  SwitchoverRequest: { service: 'mailer' },
  ResizeRequest: { service: 'mailer', instances: 3 },
  ApplyRequest: { spec: cluster([web()]), expect: 1, version: '1.0.0' },
  RollbackRequest: { to: 1 },
  SetSecretRequest: { value: 'hunter2' },
}

function call(route: Route): Promise<Response> | Response {
  const path = route.path
    .replace('{service}', 'web')
    .replace('{node}', 'b')
    .replace('{number}', '1')
    .replace('{secret}', 'token')
  const body = route.takes ? JSON.stringify(BODIES[route.takes] ?? {}) : undefined
  const headers = { authorization: 'Bearer t' }
  return app.request(path, { method: route.method, headers, ...(body ? { body } : {}) })
}

/** As much of JSON Schema as schemas.ts uses. Stricter in one point: a field that the schema does not know is an error. */
function complaints(value: unknown, schema: Schema, at: string): string[] {
  if (typeof schema.$ref === 'string') {
    const name = schema.$ref.split('/').at(-1) as keyof typeof SCHEMAS
    return complaints(value, SCHEMAS[name], at)
  }
  const types = [schema.type].flat()
  const type = value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value
  const fits = types.includes(type) || (types.includes('integer') && Number.isInteger(value))
  if (!fits) return [`${at}: ${type}, not ${types}`]
  if (Array.isArray(schema.enum) && !schema.enum.includes(value))
    return [`${at}: ${value} is not one of ${schema.enum}`]
  if (Array.isArray(value)) {
    return value.flatMap((item, index) => complaints(item, schema.items as Schema, `${at}[${index}]`))
  }
  if (type !== 'object' || !schema.properties) return []
  const properties = schema.properties as Record<string, Schema>
  const fields = value as Record<string, unknown>
  const missing = (schema.required as string[])
    .filter((name) => !(name in fields))
    .map((name) => `${at}.${name}: missing`)
  return Object.entries(fields).reduce<string[]>((all, [name, inner]) => {
    const known = properties[name]
    return all.concat(known ? complaints(inner, known, `${at}.${name}`) : [`${at}.${name}: not in the schema`])
  }, missing)
}

describe('the OpenAPI page', () => {
  it('lists exactly the routes that the server has', () => {
    const served = app.routes
      .filter(({ method }) => method !== 'ALL')
      .map(({ method, path }) => `${method} ${path.replaceAll(/:(\w+)/g, '{$1}')}`)
    const listed = Object.entries(page.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    )
    expect(listed.sort()).toEqual(served.sort())
  })

  it.each(ROUTES.map((route) => [`${route.method} ${route.path}`, route] as const))(
    'tells the truth about %s',
    async (_, route) => {
      const response = await call(route)
      const described = page.paths[route.path]?.[route.method.toLowerCase()]?.responses ?? {}
      expect(Object.keys(described)).toContain(String(response.status))
      if (route.answers === 'text' || route.answers === 'openapi') return
      const schema = (described[response.status] as { content: Record<string, { schema: Schema }> }).content[
        'application/json'
      ]
      expect(complaints(await response.json(), schema?.schema ?? {}, 'answer')).toEqual([])
    },
  )

  it('describes refusals as they are', async () => {
    const refused = await app.request('/v1/status')
    expect(complaints(await refused.json(), SCHEMAS.Refusal, 'refusal')).toEqual([])
  })

  it('has no reference that leads nowhere', () => {
    const references = JSON.stringify(page).matchAll(/"#\/components\/schemas\/(\w+)"/g)
    for (const [, name] of references) expect(Object.keys(SCHEMAS)).toContain(name)
  })
})

describe('/metrics', () => {
  it('is Prometheus text with cluster, agent and balancer', async () => {
    const response = await app.request('/metrics', { headers: { authorization: 'Bearer t' } })
    const text = await response.text()
    expect(response.headers.get('content-type')).toContain('version=0.0.4')
    for (const line of [
      'understudy_node_alive{node="b"} 1',
      'understudy_service_healthy{service="web"} 1',
      'understudy_service_term{service="mailer"} 3',
      'understudy_service_primary{service="mailer",node="a"} 1',
      'understudy_instance_healthy{service="web",node="c",role="active"} 1',
      'understudy_last_change_seconds{service="mailer",kind="failover"} 0.2124',
      'understudy_agent_turns_total 100',
      'understudy_balancer_requests_total{service="web",purpose="serving"} 9',
    ]) {
      expect(text.split('\n')).toContain(line)
    }
  })

  it('says how far a change of the config is', async () => {
    const before = surface.current
    const config = { number: 4, hash: '', at: '', by: '', message: '', leaving: ['c'], removed: [], refused: null }
    const rollout = { state: 'stopped', updated: 0, of: 3, why: 'it failed' } as const
    surface.current = { ...before, config, services: before.services.map((one) => ({ ...one, rollout })) }
    const response = await app.request('/metrics', { headers: { authorization: 'Bearer t' } })
    surface.current = before
    const lines = (await response.text()).split('\n')
    for (const line of [
      'understudy_config_number 4',
      'understudy_config_leftover 1',
      'understudy_config_refused 0',
      'understudy_service_rolling{service="web"} 0',
      'understudy_service_rollout_stopped{service="web"} 1',
      'understudy_service_stopped{service="web"} 0',
      'understudy_node_leaving{node="b"} 0',
    ])
      expect(lines).toContain(line)
  })

  it('counts nothing by itself: two scrapes of the same facts are the same', async () => {
    const scrape = async () => (await app.request('/metrics', { headers: { authorization: 'Bearer t' } })).text()
    expect(await scrape()).toBe(await scrape())
  })
})
