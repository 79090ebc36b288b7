/** The bench's side of its client: one process, asked by messages, bounded in time. */
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const ANSWER_WITHIN_MS = 60_000

export class Writer {
  #child = fork(fileURLToPath(new URL('./writer.mjs', import.meta.url)))
  #waiting = new Map()
  #number = 0

  constructor() {
    this.#child.on('message', ({ number, answer, error }) => {
      const { resolve, reject } = this.#waiting.get(number) ?? {}
      this.#waiting.delete(number)
      if (error === undefined) resolve?.(answer)
      else reject?.(new Error(`the writer: ${error}`))
    })
    this.#child.once('exit', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error('the writer ended'))
    })
  }

  ask(call, of) {
    const number = this.#number++
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`the writer did not answer ${call} in time`)), ANSWER_WITHIN_MS)
      const settled = (settle) => (value) => {
        clearTimeout(timer)
        settle(value)
      }
      this.#waiting.set(number, { resolve: settled(resolve), reject: settled(reject) })
      this.#child.send({ call, of, number })
    })
  }

  kill() {
    this.#child.kill('SIGKILL')
  }
}
