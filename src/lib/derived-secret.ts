/** One secret out of another, for one purpose: the second follows from the first, and the first cannot be found from it. */
import { createHmac } from 'node:crypto'

export function derivedSecret(secret: string, purpose: string): string {
  return createHmac('sha256', secret).update(purpose).digest('base64url')
}
