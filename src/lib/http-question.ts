/**
 * What a health check over HTTP asks, and which answers are good: said once, for the agent's own check of an instance and
 * for the probes of all balancers.
 */

/** From, to; both included. */
export type StatusRange = readonly [number, number]

export interface HttpQuestion {
  readonly path: string
  /** The statuses that are good. Absent: 200-399, as for Kubernetes, HAProxy and nginx. Redirects are not followed. */
  readonly status?: readonly StatusRange[]
  /** Sent with the question, on top of Host, User-Agent and Accept or in their place. May hold secrets: never shown. */
  readonly headers?: Readonly<Record<string, string>>
  /** Asked over TLS. */
  readonly https?: HttpsTerms
}

export interface HttpsTerms {
  /** The name that is asked for (SNI), and that a verified certificate must hold. Absent: none, and the address. */
  readonly servername?: string
  /** A PEM file of the authorities that are trusted; absent: any certificate is good. */
  readonly ca?: string
}

const GOOD: readonly StatusRange[] = [[200, 399]]

export function isGood(status: number, { status: ranges = GOOD }: HttpQuestion): boolean {
  return ranges.some(([from, to]) => status >= from && status <= to)
}

/** `200-299, 401`. */
export function goodText({ status: ranges = GOOD }: HttpQuestion): string {
  return ranges.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(', ')
}

/** `https://127.0.0.1:8080/healthz`: where, and nothing of the headers. */
export function urlText({ path, https }: HttpQuestion, host: string, port: number): string {
  return `${https ? 'https' : 'http'}://${authority(host, port)}${path}`
}

/** An IPv6 address stands in brackets. */
export function authority(host: string, port: number): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`
}

/** `200`, `'204'` or `'200-299'`; undefined: none of these. */
export function parseStatus(written: string | number): StatusRange | undefined {
  const [, first, last = first] = /^([2-5]\d\d)(?:-([2-5]\d\d))?$/.exec(String(written)) ?? []
  const range: StatusRange = [Number(first), Number(last)]
  return range[0] <= range[1] ? range : undefined
}

/** What frames a message or belongs to the connection is written by the exchange itself. */
const OWN_HEADERS = new Set([
  'connection',
  'content-length',
  'expect',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/** A token of RFC 9110, and none that would change how the message is read. */
export function isHeaderName(name: string): boolean {
  return /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$/.test(name) && !OWN_HEADERS.has(name.toLowerCase())
}

/** No line break and no other control character: nothing in it can end the line. */
export function isHeaderValue(value: string): boolean {
  return /^[\t\x20-\x7e\x80-\xff]{0,8192}$/.test(value)
}
