import { readFileSync } from 'node:fs'

/** This package's version: package.json is two folders up, from src/cli and from dist/cli alike. */
export function version(): string {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string
  }
  return version
}
