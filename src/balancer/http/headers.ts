/**
 * Which headers go on and which end here. Headers are flat lists, name, value, name, value …, in the order and spelling
 * in which they came: some applications depend on either, so nothing is sorted, merged or renamed.
 *
 * Hop-by-hop headers (RFC 9110 §7.6.1) speak about one connection and are taken out on both ways, together with those
 * that `Connection` names. A client cannot use that to make us drop what frames or routes the message.
 */

export type RawHeaders = readonly string[]

export function asciiLower(text: string): string {
  return text.toLowerCase()
}

const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'upgrade',
])

/** Never taken out because `Connection` names them: they say where a message ends and whom it is for. */
const NEVER_NAMED: ReadonlySet<string> = new Set(['content-length', 'host', 'expect'])

/** Calls `visit` with lower-case name, name and value of every header. */
export function eachHeader(raw: RawHeaders, visit: (lower: string, name: string, value: string) => void): void {
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const name = raw[at] ?? ''
    visit(asciiLower(name), name, raw[at + 1] ?? '')
  }
}

/** All values of one header, in order. */
export function valuesOf(raw: RawHeaders, lowerName: string): string[] {
  const values: string[] = []
  eachHeader(raw, (lower, _name, value) => {
    if (lower === lowerName) values.push(value)
  })
  return values
}

/** The headers without those that end at this hop. */
export function endToEnd(raw: RawHeaders): string[] {
  const named = namedByConnection(raw)
  const kept: string[] = []
  eachHeader(raw, (lower, name, value) => {
    if (!HOP_BY_HOP.has(lower) && !named.has(lower)) kept.push(name, value)
  })
  return kept
}

const NOTHING: ReadonlySet<string> = new Set()

function namedByConnection(raw: RawHeaders): ReadonlySet<string> {
  const values = valuesOf(raw, 'connection')
  if (values.length === 0) return NOTHING
  const tokens = values.flatMap((value) => value.split(',')).map((token) => asciiLower(token.trim()))
  return new Set(tokens.filter((token) => !NEVER_NAMED.has(token)))
}

/** As Node takes trailers: a list of pairs. */
export function pairsOf(raw: RawHeaders): [string, string][] {
  const list: [string, string][] = []
  for (let at = 0; at + 1 < raw.length; at += 2) list.push([raw[at] ?? '', raw[at + 1] ?? ''])
  return list
}

/** Is it an answer that goes on for as long as the client stays (server-sent events)? */
export function isEventStream(raw: RawHeaders): boolean {
  return valuesOf(raw, 'content-type').some((type) => asciiLower(type).startsWith('text/event-stream'))
}

/** How the body of a request is sent on. */
export type BodyFraming = 'none' | 'length' | 'chunked'

export interface RequestFacts {
  readonly method: string
  readonly url: string
  /** Where the client reached this balancer, as host:port: the Host of a request of HTTP/1.0 that names none. */
  readonly reachedAt: string
  readonly rawHeaders: RawHeaders
  readonly clientAddress: string
  readonly framing: BodyFraming
  /** The protocol that a client wants to change to; undefined for an ordinary request. */
  readonly upgrade: string | undefined
}

/**
 * The head of a request as the instance gets it. `X-Forwarded-For` grows by the client's address. `X-Forwarded-Proto`
 * and `-Host` are kept when another proxy in front of this balancer has set them: it alone knows that the client spoke
 * TLS.
 */
export function requestHead(facts: RequestFacts): string {
  const seen = { proto: false, host: false }
  const forwardedFor: string[] = []
  const { path, authority } = targetOf(facts.method, facts.url)
  let hostHeader: string | undefined
  let head = `${facts.method} ${path} HTTP/1.1\r\n`
  eachHeader(endToEnd(facts.rawHeaders), (lower, name, given) => {
    const value = lower === 'host' ? (authority ?? given) : given
    if (lower === 'x-forwarded-for') {
      forwardedFor.push(value)
      return
    }
    if (lower === 'expect') return
    if (lower === 'x-forwarded-proto') seen.proto = true
    else if (lower === 'x-forwarded-host') seen.host = true
    else if (lower === 'host') hostHeader = value
    head += `${name}: ${value}\r\n`
  })
  if (hostHeader === undefined) {
    hostHeader = authority ?? facts.reachedAt
    head += `Host: ${hostHeader}\r\n`
  }
  head += `X-Forwarded-For: ${[...forwardedFor, facts.clientAddress].join(', ')}\r\n`
  if (!seen.proto) head += 'X-Forwarded-Proto: http\r\n'
  if (!seen.host && hostHeader !== '') head += `X-Forwarded-Host: ${hostHeader}\r\n`
  if (facts.framing === 'chunked') head += 'Transfer-Encoding: chunked\r\n'
  const connection =
    facts.upgrade === undefined ? 'Connection: keep-alive' : `Connection: Upgrade\r\nUpgrade: ${facts.upgrade}`
  return `${head}${connection}\r\n\r\n`
}

interface RequestTarget {
  /** As the instance gets it: a path with its query, or `*`. */
  readonly path: string
  /** Host and port from a target in absolute form. It wins over the Host header (RFC 9112 §3.2.2). */
  readonly authority: string | undefined
}

const ABSOLUTE = /^https?:\/\/([^/?#]*)([^#]*)$/i
// A host (name, IPv4, or IPv6 in brackets) and perhaps a port; no user name.
const AUTHORITY = /^(?:[A-Za-z0-9\-._~%!$&'()*+,;=]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/

function targetOf(method: string, url: string): RequestTarget {
  const absolute = url.startsWith('/') ? null : ABSOLUTE.exec(url)
  if (!absolute) return { path: url, authority: undefined }
  const [, authority, path = ''] = absolute
  if (path === '' && method === 'OPTIONS') return { path: '*', authority }
  return { path: path.startsWith('/') ? path : `/${path}`, authority }
}

/** Why the target of a request cannot be passed on; undefined when it can. */
export function complaintAboutTarget(method: string, url: string): string | undefined {
  if (url.startsWith('/') || (url === '*' && method === 'OPTIONS')) return undefined
  const authority = ABSOLUTE.exec(url)?.[1]
  if (authority === undefined) return 'the target must be a path, or a URL with http:// or https://'
  return AUTHORITY.test(authority) ? undefined : 'the target names no valid host'
}

/**
 * Which of the protocols that a client wants to change to are passed on to the instance; undefined when none is, and the wish
 * is ignored as RFC 9110 §7.8 allows. HTTP/2 and TLS would hide every later request from this balancer. A request with a body
 * would have to be read as HTTP first (Java's HttpClient and `curl --http2` ask for h2c with every POST), and HTTP/1.0 has no
 * upgrades. Everything else, above all `websocket`, is for the instance to accept or not.
 */
export function offeredUpgrade(raw: RawHeaders, httpVersion: string): string | undefined {
  if (httpVersion !== '1.1' || framingOf(raw) !== 'none') return undefined
  const wished = valuesOf(raw, 'upgrade').flatMap((value) => value.split(','))
  const passed = wished
    .map((protocol) => protocol.trim())
    .filter((protocol) => protocol !== '' && !NOT_OFFERED.test(protocol))
  return passed.length === 0 ? undefined : passed.join(', ')
}

/** The headers of a request without its wish for another protocol. */
export function withoutUpgrade(raw: RawHeaders): string[] {
  const kept: string[] = []
  eachHeader(raw, (lower, name, value) => {
    if (lower === 'upgrade') return
    const left =
      lower === 'connection' ? value.split(',').filter((token) => asciiLower(token.trim()) !== 'upgrade') : [value]
    if (left.length > 0) kept.push(name, left.join(','))
  })
  return kept
}

const NOT_OFFERED = /^(?:h2c?|h3|http|tls)(?:\/|$)/i

/** Fields that a trailer must not carry, because they would have meant something in the head (RFC 9110 §6.5.1). */
const NOT_IN_TRAILERS: ReadonlySet<string> = new Set([
  ...HOP_BY_HOP,
  'authorization',
  'content-encoding',
  'content-length',
  'content-range',
  'content-type',
  'cookie',
  'expect',
  'host',
  'set-cookie',
  'trailer',
  'x-forwarded-for',
])

export function safeTrailers(raw: RawHeaders): string[] {
  const kept: string[] = []
  eachHeader(raw, (lower, name, value) => {
    if (!NOT_IN_TRAILERS.has(lower)) kept.push(name, value)
  })
  return kept
}

/**
 * Why a request that Node's parser let through is refused all the same; undefined when it is fine. What is checked here
 * is legal in some reading of the standard, and read differently by different servers: that is what smuggling lives on.
 */
export function complaintAbout(raw: RawHeaders, httpVersion: string): string | undefined {
  const encodings = valuesOf(raw, 'transfer-encoding')
  const lengths = valuesOf(raw, 'content-length')
  if (encodings.length > 0) {
    if (httpVersion !== '1.1') return 'Transfer-Encoding needs HTTP/1.1'
    if (encodings.length > 1 || asciiLower(encodings[0] ?? '') !== 'chunked') {
      return 'Transfer-Encoding must be exactly: chunked'
    }
    if (lengths.length > 0) return 'Content-Length and Transfer-Encoding together'
  }
  if (lengths.length > 1) return 'more than one Content-Length'
  if (lengths.length === 1 && !/^\d{1,15}$/.test(lengths[0] ?? '')) return 'Content-Length must be a number'
  const hosts = valuesOf(raw, 'host')
  if (hosts.length > 1 || (hosts.length === 0 && httpVersion === '1.1')) return 'exactly one Host header is needed'
  const expects = valuesOf(raw, 'expect')
  if (expects.some((value) => asciiLower(value) !== '100-continue')) return 'an expectation that cannot be met'
  return undefined
}

export function framingOf(raw: RawHeaders): BodyFraming {
  if (valuesOf(raw, 'transfer-encoding').length > 0) return 'chunked'
  const length = valuesOf(raw, 'content-length')[0]
  return length === undefined || Number(length) === 0 ? 'none' : 'length'
}
