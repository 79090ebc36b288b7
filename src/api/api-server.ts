/**
 * HTTP in front of a `Surface`. The token comes before everything else, so that a client without it does not even learn
 * which routes exist.
 *
 * It listens on the node's own address only. TLS is not spoken yet: on one machine nothing leaves the loopback.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import { type Context, Hono } from 'hono'
import { UnderstudyError } from '../errors.ts'
import { type Clock, systemClock } from '../lib/clock.ts'
import { superviseLoop } from '../lib/supervised-loop.ts'
import { Feeds } from './event-feed.ts'
import { type RefusalStatus, refusalOf, statusOf } from './refusals.ts'
import { readBody } from './request-bodies.ts'
import type { Route } from './route-shape.ts'
import { ROUTES } from './routes.ts'
import type { Surface } from './surface.ts'

/** A whole request must have arrived by then; no body is large. */
const REQUEST_WITHIN_MS = 10_000

export interface ApiOptions {
  readonly surface: Surface
  /** The node's own address. */
  readonly host: string
  /** 0 picks a free one. */
  readonly port: number
  readonly token: string
  readonly clock?: Clock
  /** Is told of errors that are bugs: the caller gets no details of them. */
  readonly onBug?: (error: unknown) => void
}

export interface ApiServer {
  readonly port: number
  /** For upgrade requests on the same port: the agents' mesh. */
  readonly server: Server
  /** Ends open feeds, lets running calls finish for a moment, then cuts what is left. */
  close(): Promise<void>
}

/** Resolves when it listens. Rejects with UND_PORT_TAKEN, UND_PORT_FORBIDDEN or UND_ADDRESS_NOT_LOCAL. */
export async function serveApi(options: ApiOptions): Promise<ApiServer> {
  const feeds = new Feeds(options.surface, options.clock ?? systemClock)
  const app = createApp(options, feeds)
  const server = createServer(
    { requestTimeout: REQUEST_WITHIN_MS, headersTimeout: REQUEST_WITHIN_MS, keepAliveTimeout: 5_000 },
    // The globals stay as they are: the agent around us, and the SDK in the same process, use them too.
    getRequestListener(app.fetch, { overrideGlobalObjects: false }),
  )
  await listen(server, options.host, options.port)
  return {
    server,
    port: (server.address() as AddressInfo).port,
    close: () => {
      feeds.close()
      return closeServer(server)
    },
  }
}

/** The application without a socket; exported for tests, which call it with made-up requests. */
export function createApp(options: Omit<ApiOptions, 'host' | 'port'>, feeds: Feeds): Hono {
  const { surface, token, onBug = () => {} } = options
  const app = new Hono()
  const isToken = tokenCheck(token)

  app.use(async (context, next) => {
    if (isOpen(context.req.path) || isToken(context.req.header('authorization'))) return next()
    context.header('WWW-Authenticate', 'Bearer')
    return refuse(
      context,
      new UnderstudyError('UND_UNAUTHORIZED', 'send “Authorization: Bearer TOKEN” with the token of this cluster'),
    )
  })
  app.use(async (context, next) => {
    if (isOpen(context.req.path) || surface.ready) return next()
    return refuse(context, new UnderstudyError('UND_STARTING', 'this agent has just been started: ask another node'))
  })
  for (const route of ROUTES) {
    app.on(route.method, honoPath(route.path), async (context) => {
      const said = await route.handle({
        surface,
        feeds,
        path: (name) => context.req.param(name) ?? '',
        query: (name) => context.req.query(name),
        header: (name) => context.req.header(name),
        body: () => readBody(context.req.raw, route.mostBodyBytes),
      })
      if (said instanceof Response) return said
      return json(said, typeof route.answers === 'object' ? route.answers.status : 200)
    })
  }
  app.notFound((context) => refuseUnknown(context))
  app.onError((error, context) => {
    if (statusOf(error) === 500) onBug(error)
    return refuse(context, error)
  })
  return app
}

function refuseUnknown(context: Context): Response {
  const { path, method } = context.req
  const allowed = ROUTES.filter((route) => pathPattern(route).test(path)).map((route) => route.method)
  if (allowed.length === 0) {
    return refuse(context, badRequest(`there is nothing at ${path}; /v1/openapi.json lists what there is`), 404)
  }
  context.header('Allow', allowed.join(', '))
  return refuse(context, badRequest(`${path} takes ${allowed.join(', ')}, not ${method}`), 405)
}

function refuse(context: Context, error: unknown, status: RefusalStatus = statusOf(error)): Response {
  return context.json(refusalOf(error), status)
}

function badRequest(message: string): UnderstudyError {
  return new UnderstudyError('UND_BAD_REQUEST', message)
}

/** Compares digests, in constant time: neither the token's length nor a right beginning of it can be measured. */
function tokenCheck(token: string): (header: string | undefined) => boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  const expected = digest(token)
  return (header) => {
    const given = /^Bearer +(\S+) *$/i.exec(header ?? '')?.[1]
    return given !== undefined && timingSafeEqual(digest(given), expected)
  }
}

/** Never kept by anything between, for it is old at once. */
function json(value: unknown, status: number): Response {
  return Response.json(value, { status, headers: { 'cache-control': 'no-store' } })
}

function isOpen(path: string): boolean {
  return ROUTES.some((route) => route.open && route.path === path)
}

function honoPath(path: string): string {
  return path.replaceAll(/\{(\w+)\}/g, ':$1')
}

function pathPattern(route: Route): RegExp {
  return new RegExp(`^${route.path.replaceAll('.', '\\.').replaceAll(/\{\w+\}/g, '[^/]+')}$`)
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => reject(listenError(cause, host, port)))
    server.listen(port, host, resolve)
  })
}

function listenError(cause: NodeJS.ErrnoException, host: string, port: number): Error {
  const where = `${host}:${port}`
  switch (cause.code) {
    case 'EADDRINUSE':
      return new UnderstudyError('UND_PORT_TAKEN', `the API cannot listen on ${where}: another program does`, { cause })
    case 'EACCES':
      return new UnderstudyError('UND_PORT_FORBIDDEN', `the API may not listen on ${where} as this user`, { cause })
    case 'EADDRNOTAVAIL':
      return new UnderstudyError('UND_ADDRESS_NOT_LOCAL', `${host} is no address of this machine`, { cause })
    default:
      return cause
  }
}

/** Connections end as they fall idle; what is still busy after half a second is cut. */
function closeServer(server: Server): Promise<void> {
  const work = () => server.closeIdleConnections()
  const sweep = superviseLoop({ clock: systemClock, what: 'closing the API', everyMs: 20, work })
  const cut = setTimeout(() => server.closeAllConnections(), 500)
  return new Promise((resolve) => {
    server.close(() => {
      sweep.stop()
      clearTimeout(cut)
      resolve()
    })
  })
}
