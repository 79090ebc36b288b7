/** The bounds of an endpoint, as options of `http()` and `command()`, and how they become what balancers read. */
import { type EndpointLimits, HTTP_LIMITS } from '../../core/endpoint-limits.ts'
import { parseDuration } from '../../lib/duration.ts'
import * as v from '../schema/vocabulary.ts'
import type { HttpEndpointOptions, TcpEndpointOptions } from '../service-options.ts'

const httpShape = {
  maxRequests: v.option(v.count(1, 1_000_000, 8_192), {
    means: 'How many requests one balancer has open at one instance; further ones wait for `hold`, then get 503.',
    default: '4096',
    turn: 'Lower to protect an instance that cannot do so much at once. Higher needs about 25 KiB for each on every node.',
    breaks: 'Too low, and clients get 503 while instances could work. It is told by the event `target-full`.',
  }),
  maxStreams: v.option(v.count(1, 1_000_000, 50_000), {
    means: 'How many upgraded connections (WebSockets) and event streams one balancer has open at one instance.',
    default: '16384',
    turn: 'The number of clients that stay connected, divided by instances; each needs about 25 KiB on every node.',
    breaks: 'Too low, and clients get 503. It is told by the event `target-full`.',
  }),
  headTimeout: v.option(v.duration, {
    means: 'How long the head of a request may take to arrive.',
    default: '10s',
    turn: 'Longer for clients on very slow networks.',
    breaks: 'Long, and clients that send a byte now and then occupy connections for that time.',
  }),
  bodyTimeout: v.option(v.duration, {
    means: 'How long the body of a request may stand still, while an instance waits for more of it; then 408.',
    default: '60s',
    turn: 'Longer for clients on very slow networks.',
    breaks: 'Short, and uploads over bad networks end with 408.',
  }),
  answerTimeout: v.option(v.duration, {
    means: 'How long an instance that has the whole request may take to begin its answer; then 504, its fate unknown.',
    default: '60s',
    turn: 'Longer than the slowest answer of the application, such as a report or a long poll.',
    breaks: 'Short, and slow answers end with 504 although the work is done.',
  }),
  streamTimeout: v.option(v.duration, {
    means: 'How long an answer under way, or an upgraded connection, may be silent in both directions; then it is cut.',
    default: '1h',
    turn: 'Longer than the pause between two heartbeats of WebSockets and event streams.',
    breaks: 'Shorter than that pause, and streams that are only quiet are cut.',
  }),
}

const tcpShape = {
  maxConnections: v.option(v.count(1, 1_000_000, 50_000), {
    means: 'How many connections one balancer has open at one instance; further ones wait for `hold`, then are reset.',
    default: '16384',
    turn: 'Lower to protect an instance that cannot serve so many. Higher needs about 25 KiB for each on every node.',
    breaks: 'Too low, and clients are refused. It is told by the event `target-full`.',
  }),
  idleTimeout: v.option(v.duration, {
    means: 'How long a connection may be silent in both directions; then it is cut.',
    default: 'none',
    turn: 'Only for protocols in which silence means that the peer is lost; TCP finds peers that are gone by itself.',
    breaks: 'Shorter than a pause of the protocol, and connections that are only quiet are cut.',
  }),
}

export const httpEndpoint = v.option(v.group(httpShape, 'limits', "an object, such as { answerTimeout: '5m' }"), {
  means: 'The limits that balancers keep for its requests.',
  default: 'as below',
  turn: 'Where an answer takes longer than a minute, or more clients come than the defaults allow.',
  breaks: 'Each on its own, see below.',
})

export const tcpEndpoint = v.option(v.group(tcpShape, 'limits', "an object, such as { idleTimeout: '1h' }"), {
  means: 'The limits that balancers keep for its connections.',
  default: 'as below',
  turn: 'Where more clients come than the defaults allow.',
  breaks: 'Each on its own, see below.',
})

/** Those that were given. */
export function compileEndpoint(options: HttpEndpointOptions & TcpEndpointOptions): Partial<EndpointLimits> {
  const ms = (given: string | number | undefined) => (given === undefined ? undefined : parseDuration(given))
  const limits: Partial<Record<keyof EndpointLimits, number | undefined>> = {
    requests: options.maxRequests ?? options.maxConnections,
    streams: options.maxStreams,
    headMs: ms(options.headTimeout),
    bodyMs: ms(options.bodyTimeout),
    answerMs: ms(options.answerTimeout),
    idleMs: ms(options.streamTimeout ?? options.idleTimeout),
  }
  const given = Object.keys(HTTP_LIMITS) as (keyof EndpointLimits)[]
  return Object.fromEntries(given.flatMap((key) => (limits[key] === undefined ? [] : [[key, limits[key]]])))
}
