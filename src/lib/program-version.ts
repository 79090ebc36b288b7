import { readFileSync } from 'node:fs'

let known: string | undefined

/**
 * This package's version: package.json is two folders up, from src/lib and from dist/lib alike. It is read once: a process is of
 * the version that it was started from, whatever is installed over it.
 */
export function version(): string {
  known ??= (JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string })
    .version
  return known
}
