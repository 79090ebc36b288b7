/** Lines that are redrawn in place. Only lines that changed are written again, so nothing flickers. */
const ESCAPE = '\u001b['
const HIDE_CURSOR = `${ESCAPE}?25l`
const SHOW_CURSOR = `${ESCAPE}?25h`
const CLEAR_LINE_REST = `${ESCAPE}K`
const CLEAR_BELOW = `${ESCAPE}J`

export class Screen {
  readonly #write: (text: string) => void
  readonly #live: boolean
  #shown: readonly string[] = []
  #open = false

  /** Not `live` (no terminal, or JSON is wanted): nothing is ever drawn. */
  constructor(live: boolean, write: (text: string) => void = (text) => void process.stdout.write(text)) {
    this.#live = live
    this.#write = write
  }

  draw(lines: readonly string[]): void {
    if (!this.#live) return
    const start = this.#open ? this.#toTop() : HIDE_CURSOR
    this.#open = true
    const body = lines.map((line, index) => (line === this.#shown[index] ? '\n' : `${line}${CLEAR_LINE_REST}\n`))
    this.#write(`${start}${body.join('')}${CLEAR_BELOW}`)
    this.#shown = lines
  }

  /** The terminal's size changed: what is where is no longer known, so everything is drawn again. */
  forget(): void {
    this.#shown = this.#shown.map(() => '')
  }

  /** What is drawn stays; writing goes on below it. */
  close(): void {
    if (this.#open) this.#write(SHOW_CURSOR)
    this.#open = false
    this.#shown = []
  }

  #toTop(): string {
    return this.#shown.length === 0 ? '\r' : `\r${ESCAPE}${this.#shown.length}A`
  }
}
