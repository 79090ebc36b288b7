/** One route of the HTTP API, as the server serves it and the OpenAPI page describes it. */
import type { Feeds } from './event-feed.ts'
import type { SchemaName } from './schemas.ts'
import type { Surface } from './surface.ts'

export interface Call {
  readonly surface: Surface
  readonly feeds: Feeds
  /** The value of `{name}` in the path. */
  path(name: string): string
  query(name: string): string | undefined
  header(name: string): string | undefined
  body(): Promise<string>
}

export interface Route {
  readonly method: 'GET' | 'POST'
  /** As OpenAPI writes it: `/v1/why/{service}`. */
  readonly path: string
  readonly summary: string
  /** Answers without a token. */
  readonly open?: true
  readonly query?: Readonly<Record<string, string>>
  readonly takes?: SchemaName
  /** How much a body may have. Default: 64 KiB. */
  readonly mostBodyBytes?: number
  readonly answers:
    | { readonly status: 200 | 202; readonly schema: SchemaName; readonly many?: true }
    | 'text'
    | 'openapi'
  /** Returns what is answered as JSON with the status above; a Response where it is something else. */
  handle(call: Call): unknown
}

/** What is asked for was written down; the status tells the rest. */
export const ACCEPTED = { status: 202, schema: 'Accepted' } as const
