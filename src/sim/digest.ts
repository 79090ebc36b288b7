/** A running hash of everything that happened, 53 bits: the same history gives the same number on every machine. */
export class Digest {
  #a = 0xdeadbeef
  #b = 0x41c6ce57

  /** After cyrb53 (bryc, public domain). */
  add(text: string): void {
    let [a, b] = [this.#a, this.#b]
    for (let index = 0; index < text.length; index += 1) {
      const code = text.charCodeAt(index)
      a = Math.imul(a ^ code, 2654435761)
      b = Math.imul(b ^ code, 1597334677)
    }
    this.#a = Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909)
    this.#b = Math.imul(b ^ (b >>> 16), 2246822507) ^ Math.imul(a ^ (a >>> 13), 3266489909)
  }

  toString(): string {
    return (4294967296 * (2097151 & this.#b) + (this.#a >>> 0)).toString(16).padStart(14, '0')
  }
}
