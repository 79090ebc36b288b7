/** Ends something that goes on by itself: a watch, a listener, a timer. */
export type Stop = () => void

/**
 * Whatever is opened is pushed here and closed in reverse. Stopping is the boot order unwound; one part that fails to
 * close does not keep the others open.
 */
export class StopStack {
  readonly #closers: { name: string; close: () => void | Promise<void> }[] = []
  #stopping: Promise<Error[]> | undefined

  push(name: string, close: () => void | Promise<void>): void {
    this.#closers.push({ name, close })
  }

  /** Closes everything once, last opened first; resolves to what failed to close. */
  stop(): Promise<Error[]> {
    this.#stopping ??= this.#unwind()
    return this.#stopping
  }

  async #unwind(): Promise<Error[]> {
    const failures: Error[] = []
    for (let top = this.#closers.pop(); top; top = this.#closers.pop()) {
      try {
        await top.close()
      } catch (cause) {
        failures.push(new Error(`closing ${top.name} failed`, { cause }))
      }
    }
    return failures
  }
}
