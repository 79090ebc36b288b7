/** An answer of the HTTP API: never kept by anything between, for it is old at once. */
export function json(value: unknown, status = 200): Response {
  return Response.json(value, { status, headers: { 'cache-control': 'no-store' } })
}
