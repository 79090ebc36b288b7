/** Freezes plain data all the way down and returns it: what crosses a boundary cannot be changed behind its back. */
export function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
  // No list of the values is made: a view has thousands of objects, and is frozen in every turn of an agent.
  for (const key in value) deepFreeze(value[key])
  return Object.freeze(value)
}
