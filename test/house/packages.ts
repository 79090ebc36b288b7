/** Third-party packages: each in one room, each declared, each with its reason written down. */
import { importsOf, isTest, roomOf, type Source } from './source.ts'

/** `@hono/node-server/x` → `@hono/node-server`; undefined for our own files and Node's. */
function packageOf(specifier: string): string | undefined {
  if (/^(\.|node:)/.test(specifier)) return undefined
  const parts = specifier.split('/')
  return specifier.startsWith('@') ? parts.slice(0, 2).join('/') : parts[0]
}

/** Which rooms import which package; tests do not count. */
export function roomsByPackage(sources: readonly Source[]): ReadonlyMap<string, ReadonlySet<string>> {
  const rooms = new Map<string, Set<string>>()
  for (const source of sources.filter((source) => !isTest(source))) {
    for (const { specifier } of importsOf(source)) {
      const name = packageOf(specifier)
      if (name !== undefined) rooms.set(name, (rooms.get(name) ?? new Set()).add(roomOf(source.path)))
    }
  }
  return rooms
}

export function checkOneRoomEach(sources: readonly Source[]): string[] {
  return [...roomsByPackage(sources)]
    .filter(([, rooms]) => rooms.size > 1)
    .map(
      ([name, rooms]) =>
        `${name} is imported in ${[...rooms].sort().join(' and ')}: let one of them offer what the other needs`,
    )
}

/**
 * `declared`: the dependencies in package.json. `decisions`: docs/decisions/0002-dependencies.md, a table whose rows begin
 * with the package and the room that imports it. `complete`: whether every room is there; until then none is asked why it
 * does not use what is meant for it.
 */
export function checkDeclared(
  sources: readonly Source[],
  declared: readonly string[],
  decisions: string,
  complete: boolean,
): string[] {
  const rooms = roomsByPackage(sources)
  const rows = new Map(
    [...decisions.matchAll(/^\| `([^`]+)` \| `([^`]+)` \|/gm)].map((row) => [row[1] ?? '', row[2] ?? '']),
  )
  const found: string[] = []
  for (const [name, users] of rooms) {
    if (!declared.includes(name)) found.push(`${name} is imported in ${[...users].join(', ')} and not in package.json`)
  }
  for (const name of declared) {
    const room = rows.get(name)
    if (room === undefined) found.push(`${name} has no line in docs/decisions/0002-dependencies.md`)
    else if (complete && !rooms.get(name)?.has(room)) found.push(`${name} is a dependency that ${room} does not import`)
  }
  for (const name of rows.keys()) {
    if (!declared.includes(name))
      found.push(`docs/decisions/0002-dependencies.md speaks of ${name}, which is no dependency`)
  }
  return found
}
