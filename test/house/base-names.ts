/**
 * A base name stands for one file, so that it can be searched and said. Twins are excepted: what has the same part in every folder of
 * its kind, and commands, which are named after what an operator types.
 */
import { posix } from 'node:path'
import { isTest, type Source } from './source.ts'

const TWINS = ['index.ts', 'main.ts', 'driver.ts', 'options.ts']
const COMMANDS = 'src/cli/commands'

export function checkBaseNames(sources: readonly Source[]): string[] {
  const places = new Map<string, string[]>()
  for (const source of sources) {
    const base = posix.basename(source.path)
    if (isTest(source) || TWINS.includes(base) || posix.dirname(source.path) === COMMANDS) continue
    places.set(base, [...(places.get(base) ?? []), posix.dirname(source.path)])
  }
  return [...places]
    .filter(([, folders]) => folders.length > 1)
    .map(([base, folders]) => `${base} is in ${folders.join(' and ')}: a base name stands for one file`)
}
