/**
 * Every route, once: the server serves this list and the OpenAPI page is written from it, so neither can know a route
 * that the other does not. A handler translates HTTP and nothing more; what is known and done is the agent's (surface.ts).
 */
import { UnderstudyError } from '../errors.ts'
import type { EventRecord } from './api-types.ts'
import { CONFIG_ROUTES } from './config-routes.ts'
import { renderMetrics } from './metrics.ts'
import { describeApi } from './openapi.ts'
import { readNothing, readResize, readSwitchover } from './request-bodies.ts'
import { ACCEPTED, type Call, type Route } from './route-shape.ts'
import { SECRET_ROUTES } from './secret-routes.ts'

export const ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: '/v1/healthz',
    summary: 'Is this agent there? Says nothing else, and needs no token.',
    open: true,
    answers: { status: 200, schema: 'Health' },
    handle: ({ surface }) => ({ ok: true, node: surface.status().answeredBy }),
  },
  {
    method: 'GET',
    path: '/v1/status',
    summary: 'The whole cluster as the agent that answers knows it.',
    answers: { status: 200, schema: 'Status' },
    handle: ({ surface }) => surface.status(),
  },
  {
    method: 'GET',
    path: '/v1/why/{service}',
    summary: 'Why a service is as it is: open problems, which node could become primary, what was done last.',
    answers: { status: 200, schema: 'Explanation' },
    handle: ({ surface, path }) => surface.why(path('service')),
  },
  {
    method: 'GET',
    path: '/v1/events',
    summary:
      'What was noticed, decided and done, oldest first. With `Accept: text/event-stream` or `follow=1`: server-sent ' +
      'events; `Last-Event-ID` resumes, at any agent, after what was seen.',
    query: {
      follow: '1: server-sent events',
      last: 'only so many of the newest (default: all that are kept; following: 0)',
    },
    answers: { status: 200, schema: 'EventRecord', many: true },
    handle: (call) => answerEvents(call),
  },
  {
    method: 'GET',
    path: '/v1/receipts',
    summary: 'What each failover, switchover and repair did, with times.',
    answers: { status: 200, schema: 'Receipt', many: true },
    handle: ({ surface }) => surface.receipts(),
  },
  {
    method: 'POST',
    path: '/v1/switchover',
    summary: 'Moves the primary of a service, planned. Accepted means written down; events and receipts tell the rest.',
    takes: 'SwitchoverRequest',
    answers: ACCEPTED,
    handle: async ({ surface, body }) => surface.switchover(readSwitchover(await body())),
  },
  {
    method: 'POST',
    path: '/v1/resize',
    summary: 'Asks for another number of instances of a service, while it runs.',
    takes: 'ResizeRequest',
    answers: ACCEPTED,
    handle: async ({ surface, body }) => surface.resize(readResize(await body())),
  },
  ...CONFIG_ROUTES,
  ...SECRET_ROUTES,
  {
    method: 'POST',
    path: '/v1/nodes/{node}/drain',
    summary: 'Moves everything off a node that can run elsewhere, and puts nothing new on it.',
    answers: ACCEPTED,
    handle: (call) => answerDrain(call, true),
  },
  {
    method: 'POST',
    path: '/v1/nodes/{node}/undrain',
    summary: 'Lets a drained node work again.',
    answers: ACCEPTED,
    handle: (call) => answerDrain(call, false),
  },
  {
    method: 'POST',
    path: '/v1/stop',
    summary: 'Stops every service and every agent of the cluster.',
    answers: ACCEPTED,
    handle: async ({ surface, body }) => {
      readNothing(await body())
      return surface.stopCluster()
    },
  },
  {
    method: 'GET',
    path: '/v1/openapi.json',
    summary: 'This page.',
    answers: 'openapi',
    handle: () => describeApi(ROUTES),
  },
  {
    method: 'GET',
    path: '/metrics',
    summary: 'The same facts for Prometheus, in its text format.',
    answers: 'text',
    handle: async ({ surface }) =>
      new Response(await renderMetrics(surface), {
        headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' },
      }),
  },
]

async function answerDrain({ surface, path, body }: Call, drained: boolean): Promise<unknown> {
  readNothing(await body())
  return surface.drain(path('node'), drained)
}

function answerEvents({ surface, feeds, query, header }: Call): Response | readonly EventRecord[] {
  const last = readCount('last', query('last'))
  const follow = query('follow') === '1' || (header('accept') ?? '').includes('text/event-stream')
  if (!follow) {
    const kept = surface.events()
    return last === undefined ? kept : kept.slice(Math.max(0, kept.length - last))
  }
  const body = feeds.stream({ resumeFrom: header('last-event-id'), last: last ?? 0 })
  return new Response(body, { headers: { 'content-type': 'text/event-stream', 'cache-control': 'no-store' } })
}

function readCount(name: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined
  if (!/^\d{1,9}$/.test(value)) throw new UnderstudyError('UND_BAD_REQUEST', `“${name}” must be a whole number`)
  return Number(value)
}
