/**
 * Steps under way on this node. At most one for each service; a service whose step failed is in back-off for a while,
 * longer each time, so that what cannot work is not retried without pause. A step runs beside the turns and never
 * delays one.
 */
import type { Act } from '../core/choose.ts'
import type { ServiceName } from '../core/model.ts'
import { isDangerous, isUrgent, type Step, sameStep, serviceOfStep, WHOLE_NODE } from '../core/step.ts'
import type { Busy, FailedTry, View } from '../core/view.ts'
import { backoffMs } from '../lib/backoff.ts'
import type { Clock } from '../lib/clock.ts'
import { type Hands, perform } from './act.ts'

/** After a step failed, until its service is looked at again; doubles up to the last figure. */
const BACKOFF = { firstMs: 250, mostMs: 10_000 }
/** The same where the safety of another node hangs on the step. */
const URGENT_BACKOFF = { firstMs: 250, mostMs: 1_000 }
/** Failures of one kind of step longer ago than this do not count: what failed then was another fault. */
const REMEMBERED_MS = 60_000
/** The same step done so often within `REPEATED_WITHIN_MS` did not help: before it is done again there is a pause as after a failure. */
const DONE_AT_ONCE = 3
const REPEATED_WITHIN_MS = 10_000

const WRITES = new Set<Step['kind']>([
  'take-lead',
  'give-up-lead',
  'call-off',
  'record',
  'rollout',
  'roll-back',
  'write-config',
])

/** It changes the store: the next turn has to see it. */
export function writesStore(step: Step): boolean {
  return WRITES.has(step.kind)
}

type Spell = { -readonly [K in keyof Busy]: Busy[K] }

interface Failed {
  readonly spell: Spell
  readonly why: string
  release(): void
}

export interface StepsOptions {
  readonly clock: Clock
  readonly hands: Hands
  /** Looks again: is this act still what should be done? Returns the view that says so. */
  recheck(act: Act): View | undefined
  done(act: Act, service: ServiceName | null, what: string): Promise<void>
  /** A write came too late: another node was faster. Resolves when what it wrote can be seen. */
  late(): Promise<void>
  failed(act: Act, service: ServiceName | null, error: Error): void
  wake(): void
}

export class Steps {
  readonly #options: StepsOptions
  /** What is under way or in back-off. An urgent step overtakes another one, and then only its own end counts. */
  readonly #busy = new Map<ServiceName, Spell>()
  /** By service and kind of step: that another kind succeeds in between is no reason to try this one faster. */
  readonly #failures = new Map<string, { count: number; at: number }>()
  /** The last step that was done for a service, and how often in a row. */
  readonly #repeats = new Map<ServiceName, { step: Step; times: number; at: number }>()
  readonly #failedIn = new Map<ServiceName, FailedTry>()

  constructor(options: StepsOptions) {
    this.#options = options
  }

  /** What is under way or in back-off, by service. */
  get busy(): Record<ServiceName, Busy> {
    const busy: Record<ServiceName, Busy> = {}
    for (const [service, { step, backingOff }] of this.#busy) busy[service] = { step, backingOff }
    return busy
  }

  /** The last start, promotion or demotion that failed here, by service. */
  get failedIn(): Record<ServiceName, FailedTry> {
    return Object.fromEntries(this.#failedIn)
  }

  isBusy(service: ServiceName): boolean {
    return this.#busy.has(service)
  }

  /** Keeps others from beginning anything for a service until the returned function is called. */
  occupy(service: ServiceName): () => void {
    return this.#enter(service, { step: null, backingOff: false })
  }

  /** Performs one act unless the world has changed since it was decided. */
  async begin(act: Act, view: View): Promise<void> {
    const service = serviceOfStep(act.step)
    const current = isDangerous(act.step) ? this.#options.recheck(act) : view
    if (!current) return
    const spell: Spell = { step: act.step.kind, backingOff: false }
    const release = this.#enter(service ?? WHOLE_NODE, spell)
    try {
      const what = await perform(act.step, current, this.#options.hands)
      this.#failures.delete(failureKey(act.step))
      if (act.step.kind === 'record') this.#failedIn.delete(act.step.service) // what failed was tried under another record
      if (what !== undefined) await this.#options.done(act, service, what)
      // From the old picture the same would be decided at once, and again: where the store answers without waiting,
      // nothing else would have its turn, no message and no timer, for seconds.
      else if (writesStore(act.step)) await this.#options.late()
      this.#releaseUnlessRepeated(act.step, spell, release)
    } catch (error) {
      // A more urgent step called it off and is under way or done: that is no failure, and needs no back-off.
      if (this.#busy.get(service ?? WHOLE_NODE) !== spell) return
      this.#backOff(act, service ?? WHOLE_NODE, { spell, release, why: (error as Error).message })
      this.#options.failed(act, service, error as Error)
    }
  }

  #enter(service: ServiceName, spell: Spell): () => void {
    this.#busy.set(service, spell)
    return () => {
      if (this.#busy.get(service) === spell) this.#busy.delete(service)
      this.#options.wake()
    }
  }

  #backOff({ step }: Act, service: ServiceName, { spell, release, why }: Failed): void {
    const now = this.#options.clock.mono()
    const before = this.#failures.get(failureKey(step))
    const failures = (before && now - before.at < REMEMBERED_MS ? before.count : 0) + 1
    this.#failures.set(failureKey(step), { count: failures, at: now })
    if ((step.kind === 'start' || step.kind === 'promote' || step.kind === 'demote') && step.term > 0)
      this.#failedIn.set(service, { term: step.term, why })
    spell.backingOff = true
    if (!isUrgent(step) && step.kind !== 'follow') spell.step = null
    this.#options.clock.after(backoffMs(failures, isUrgent(step) ? URGENT_BACKOFF : BACKOFF), release)
  }

  /** A step that is done and wanted again at once, and again, changes nothing: it must not keep the node busy for ever. */
  #releaseUnlessRepeated(step: Step, spell: Spell, release: () => void): void {
    // Drivers have a back-off of their own between starts.
    if (!('service' in step) || step.kind === 'start' || writesStore(step)) return release()
    const now = this.#options.clock.mono()
    const before = this.#repeats.get(step.service)
    const isSame = before !== undefined && sameStep(before.step, step) && now - before.at < REPEATED_WITHIN_MS
    const times = isSame ? before.times + 1 : 1
    this.#repeats.set(step.service, { step, times, at: now })
    if (times < DONE_AT_ONCE || this.#busy.get(step.service) !== spell) return release()
    spell.backingOff = true
    this.#options.clock.after(backoffMs(times - DONE_AT_ONCE + 1, URGENT_BACKOFF), release)
  }
}

function failureKey(step: Step): string {
  return `${serviceOfStep(step) ?? ''} ${step.kind}`
}
