/** The bounds that one balancer keeps for one endpoint. */
export interface EndpointLimits {
  /** Requests, or connections that are no HTTP, which one balancer has open at one instance. Beyond it they are held. */
  readonly requests: number
  /** Upgraded connections and event streams which one balancer has open at one instance, beside its requests. */
  readonly streams: number
  /** For the head of a request to arrive. */
  readonly headMs: number
  /** Without a byte of a request's body. */
  readonly bodyMs: number
  /** From the end of the request to the head of the answer. */
  readonly answerMs: number
  /** Without a byte, either way, of an answer under way or of a connection that is no HTTP; null: without end. */
  readonly idleMs: number | null
}

/**
 * Of endpoints that speak HTTP. `headMs`, `bodyMs` and `answerMs`: nginx has 60 s for each, HAProxy's manual asks for 10 s for the
 * head. `idleMs`: HAProxy's examples have 1 h for tunnels. `requests` and `streams` are bounded by memory: an open request or stream costs
 * the balancer about 23 KiB (measured with 4,000 of each on Node 20), so 4,096 and 16,384 are about 460 MiB for each instance.
 */
export const HTTP_LIMITS: EndpointLimits = {
  requests: 4_096,
  streams: 16_384,
  headMs: 10_000,
  bodyMs: 60_000,
  answerMs: 60_000,
  idleMs: 3_600_000,
}

/** Of all others. A database connection may be silent for days; a peer that is gone is found by TCP's keep-alive. */
export const CONNECTION_LIMITS: EndpointLimits = { ...HTTP_LIMITS, requests: 16_384, idleMs: null }

export function limitsFor(protocol: string, given: Partial<EndpointLimits> | undefined): EndpointLimits {
  const standard = protocol === 'http' ? HTTP_LIMITS : CONNECTION_LIMITS
  return given === undefined ? standard : { ...standard, ...given }
}
