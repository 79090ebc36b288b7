import { hostname, userInfo } from 'node:os'

/** Who types: `user@host`. */
export function author(): string {
  try {
    return `${userInfo().username}@${hostname()}`
  } catch {
    return `uid ${process.getuid?.() ?? '?'}@${hostname()}` // an account without a name
  }
}
