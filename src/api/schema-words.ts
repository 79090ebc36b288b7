/** The words that the schemas of the HTTP API are written in. */
export type Schema = Readonly<Record<string, unknown>>

export const text = { type: 'string' }
export const name = { type: 'string', minLength: 1 }
export const nameOrNull = { type: ['string', 'null'] }
export const flag = { type: 'boolean' }
export const number = { type: 'number' }
export const count = { type: 'integer', minimum: 0 }
export const moment = { type: 'string', format: 'date-time' }

export function oneOf(...values: readonly string[]): Schema {
  return { type: 'string', enum: values }
}

export function list(items: Schema): Schema {
  return { type: 'array', items }
}

/** An object whose fields are all required, but for those named in `optional`. Fields may be added in later versions. */
export function object(properties: Readonly<Record<string, Schema>>, optional: readonly string[] = []): Schema {
  const required = Object.keys(properties).filter((field) => !optional.includes(field))
  return { type: 'object', properties, required }
}
