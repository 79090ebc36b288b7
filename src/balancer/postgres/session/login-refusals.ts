/** Logins that a server refuses for now: how often that is hidden from the client, and what it hears in the end. */

/** How long a refusal is not believed that a change of primary may have caused. */
const PERHAPS_MS = 3_000

export class LoginRefusals {
  #sinceMs: number | undefined
  /** The last refusal, in the server's own words. */
  words: Buffer | undefined

  /** May it be tried again? `soon`: the reason will pass. `perhaps`: only if it is a change of primary. */
  tryAgain(words: Buffer, how: 'soon' | 'perhaps', nowMs: number): boolean {
    this.#sinceMs ??= nowMs
    if (how === 'perhaps' && nowMs - this.#sinceMs > PERHAPS_MS) return false
    this.words = words
    return true
  }
}
