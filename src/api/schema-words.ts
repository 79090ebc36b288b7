/** The words that the schemas of the HTTP API are written in. */
export type Schema = Readonly<Record<string, unknown>> & { readonly absent?: never }

/** A field that may be absent. */
export interface Optional {
  readonly absent: 'allowed'
  readonly schema: Schema
}

/** A schema for each field of a type, no more and no less: what may be absent in one may be absent in the other. */
export type Fields<T> = { readonly [F in keyof T]-?: Partial<Pick<T, F>> extends Pick<T, F> ? Optional : Schema }

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

export function optional(schema: Schema): Optional {
  return { absent: 'allowed', schema }
}

/**
 * An object with these fields; later versions may add more. For an object that has a type, name it: `object<Receipt>({ … })` does
 * not compile unless the two name the same fields.
 */
export function object<T = Readonly<Record<string, unknown>>>(fields: Fields<T>): Schema {
  const all = Object.entries<Schema | Optional>(fields)
  const properties = Object.fromEntries(all.map(([field, one]) => [field, isOptional(one) ? one.schema : one]))
  return { type: 'object', properties, required: all.flatMap(([field, one]) => (isOptional(one) ? [] : [field])) }
}

function isOptional(one: Schema | Optional): one is Optional {
  return one.absent === 'allowed'
}
