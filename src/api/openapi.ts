/** The OpenAPI 3.1 page, written from the list of routes. */
import type { Route } from './route-shape.ts'
import { reference, SCHEMAS, type Schema, type SchemaName } from './schemas.ts'

export function describeApi(routes: readonly Route[]): Schema {
  const paths: Record<string, Record<string, Schema>> = {}
  for (const route of routes) {
    paths[route.path] = { ...paths[route.path], [route.method.toLowerCase()]: describeRoute(route) }
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Understudy',
      version: '1',
      description: 'The one road into a cluster. Any agent answers for all of it.',
    },
    security: [{ token: [] }],
    paths,
    components: {
      securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
      schemas: SCHEMAS,
    },
  }
}

/** The names in braces: `/v1/why/{service}` has `service`. */
export function pathNames(path: string): string[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1] ?? '')
}

function describeRoute(route: Route): Schema {
  const parameters = [
    ...pathNames(route.path).map((name) => ({ name, in: 'path', required: true, schema: { type: 'string' } })),
    ...Object.entries(route.query ?? {}).map(([name, description]) => ({
      name,
      in: 'query',
      description,
      schema: { type: 'string' },
    })),
  ]
  return {
    summary: route.summary,
    ...(route.open ? { security: [] } : {}),
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(route.takes ? { requestBody: { required: true, content: jsonContent(reference(route.takes)) } } : {}),
    responses: describeAnswers(route),
  }
}

function describeAnswers(route: Route): Schema {
  const refusal = { description: 'refused: error.code says why', content: jsonContent(reference('Refusal')) }
  if (route.answers === 'openapi')
    return { 200: { description: 'OpenAPI 3.1', content: jsonContent({ type: 'object' }) }, default: refusal }
  if (route.answers === 'text') return { 200: { description: 'text', content: { 'text/plain': {} } }, default: refusal }
  const { status, schema, many } = route.answers
  const content = jsonContent(many ? listOf(schema) : reference(schema))
  return { [status]: { description: status === 202 ? 'accepted' : 'the answer', content }, default: refusal }
}

function listOf(schema: SchemaName): Schema {
  return { type: 'array', items: reference(schema) }
}

function jsonContent(schema: Schema): Schema {
  return { 'application/json': { schema } }
}
