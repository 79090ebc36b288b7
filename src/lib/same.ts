/**
 * Do two pieces of plain data say the same? Faster than writing both down and comparing the text, and it stops at the
 * first difference. A field that is `undefined` says as much as one that is missing.
 */

/** `but`: fields of the outermost object that do not count. */
export function saysTheSame(a: unknown, b: unknown, but?: ReadonlySet<string>): boolean {
  if (a === b) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (Array.isArray(a) || Array.isArray(b)) return Array.isArray(a) && Array.isArray(b) && sameItems(a, b)
  const [one, other] = [a as Record<string, unknown>, b as Record<string, unknown>]
  for (const key in one)
    if (one[key] !== other[key] && !but?.has(key) && !saysTheSame(one[key], other[key])) return false
  for (const key in other) if (other[key] !== undefined && !(key in one) && !but?.has(key)) return false
  return true
}

/** Item by item; `same` says when two of them are. */
export function sameItems<T>(
  a: readonly T[],
  b: readonly T[],
  same: (one: T, other: T) => boolean = saysTheSame,
): boolean {
  if (a.length !== b.length) return false
  for (let index = 0; index < a.length; index += 1) if (!same(a[index] as T, b[index] as T)) return false
  return true
}
