/** Looking at what came from outside, field by field: a file, another process, another version. */

/** Whatever it is, as something whose fields can be looked at. */
export function fieldsOf<T>(value: unknown): Partial<Record<keyof T, unknown>> {
  return typeof value === 'object' && value !== null ? value : {}
}

export function areTexts(...values: readonly unknown[]): boolean {
  return values.every((value) => typeof value === 'string')
}

export function areNumbers(...values: readonly unknown[]): boolean {
  return values.every((value) => typeof value === 'number' && Number.isFinite(value))
}

export function areFlags(...values: readonly unknown[]): boolean {
  return values.every((value) => typeof value === 'boolean')
}

export function isListOf(value: unknown, isOne: (item: unknown) => boolean): boolean {
  return Array.isArray(value) && value.every(isOne)
}

/** Absent, or as it should be. */
export function orAbsent(value: unknown, is: (value: unknown) => boolean): boolean {
  return value === undefined || is(value)
}

export function orNull(value: unknown, is: (value: unknown) => boolean): boolean {
  return value === null || is(value)
}
