/**
 * Writes the rows of rules, and opens the entry when the row of the rule in force is on its quorum. A row may wait for long
 * (members that have to be copied first), and a wait must not be given up: so it is a piece of work of its own, which a verb
 * may wait for or not, and which is tried again when its connection broke.
 */
import type pg from 'pg'
import { sameConfig } from '../../../core/replicated/quorum.ts'
import type { QuorumConfig } from '../../../core/replicated/quorum-config.ts'
import { sleep } from '../../../lib/clock.ts'
import type { Member } from '../member.ts'
import { destroy, within } from '../server/admin-session.ts'
import { openForMark, writeMark } from './lead.ts'

export class QuorumRows {
  readonly #member: Member
  readonly #marked: () => void
  #ready: Promise<pg.Client> | undefined
  #work: { readonly rule: QuorumConfig; readonly done: Promise<void>; stopped: boolean } | undefined

  constructor(member: Member, marked: () => void) {
    this.#member = member
    this.#marked = marked
  }

  /** Opens the connection for the next mark ahead. */
  prepare(): void {
    this.#ready ??= openForMark(this.#member)
    this.#ready.catch(() => {}) // the mark hears of it, and tries again
  }

  /** Begins to write the row of `rule`, unless that is under way already. */
  begin(rule: QuorumConfig): void {
    if (this.#work && sameConfig(this.#work.rule, rule) && !this.#work.stopped) return
    if (this.#work) this.#work.stopped = true
    const work = { rule, stopped: false, done: Promise.resolve() }
    work.done = this.#write(work)
    work.done.catch(() => {}) // whoever waits hears of it
    this.#work = work
  }

  /** Begins, and resolves when the quorum has it; UND_TIMED_OUT after `withinMs`, and then it goes on being tried. */
  async mark(rule: QuorumConfig, withinMs: number, signal: AbortSignal): Promise<void> {
    this.begin(rule)
    const { clock } = this.#member.parts
    const settled = within(clock, withinMs, `the row of the rule of term ${rule.term}`, this.settled())
    await Promise.race([settled, aborted(signal)])
  }

  settled(): Promise<void> {
    return this.#work?.done ?? Promise.resolve()
  }

  stop(): void {
    this.#ready?.then(destroy, () => {}) // it never opened: there is nothing to close
    this.#ready = undefined
    if (this.#work) this.#work.stopped = true
    this.#work = undefined
  }

  async #write(work: { readonly rule: QuorumConfig; stopped: boolean }): Promise<void> {
    const { clock } = this.#member.parts
    for (;;) {
      try {
        const opening = this.#ready ?? openForMark(this.#member)
        this.#ready = undefined
        await writeMark(this.#member, work.rule, opening)
        break
      } catch (error) {
        if (work.stopped || !this.#member.runs) throw error
        await sleep(clock, 100)
        if (work.stopped || !this.#member.runs) throw error
      }
    }
    if (work.stopped) return
    this.#work = undefined
    this.#member.durable = work.rule
    this.#member.writesWait = false // its quorum has just confirmed one
    this.#member.reload() // people may come in
    this.#marked()
  }
}

/** Never resolves; rejects when the signal is given. */
function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason)
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}
