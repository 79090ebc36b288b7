/** One secret out of another, for one purpose: who has the first can make the second, and nobody can go back from it. */
import { createHmac } from 'node:crypto'

export function derivedSecret(secret: string, purpose: string): string {
  return createHmac('sha256', secret).update(purpose).digest('base64url')
}
