/**
 * Keeps a fault that never ends from filling the journal. Events are grouped by rule, service and sort. A sentence that
 * was the last one there is reported twice more within its window, because three deaths in ten seconds are three facts
 * with a time each; after that it is counted, and reported with its number when the window is over. Windows grow while
 * it goes on. Sentences that differ each time are reported until a budget is used up, and are then counted in the same
 * way.
 *
 * Nothing is dropped: whatever is held back is counted, and the newest of it is reported. The trap is a sentence with a
 * duration or a size in it, which is never the same twice; so those are left out when sentences are compared.
 */
import type { EventRecord } from '../api/api-types.ts'
import type { ServiceName } from '../core/names.ts'
import type { Rule } from '../core/rule-names.ts'

/** What a node tells of: an event before it has an id and a time. */
export interface Entry {
  readonly service: ServiceName | null
  readonly rule: Rule
  readonly kind: EventRecord['kind']
  readonly why: string
}

export interface Told extends Entry {
  /** How many this one stands for; absent: for itself. */
  readonly repeated?: number
}

/** The first window, and how far it grows while the same goes on. */
const WINDOW = { firstMs: 10_000, mostMs: 300_000 }
/** How often the same sentence is told within the first window. */
const SAME = 3
/** So many different sentences at once, and one more each time this has passed. */
const BURST = 20
const ANOTHER_AFTER_MS = 10_000
/** How many rules, services and sorts are remembered; the one reported longest ago makes room. */
const MOST_KEPT = 256

/** Told only when something has changed: another node may have told of a change in between, so none is a repetition. */
const CHANGES = new Set<Entry['rule']>(['redundancy'])

interface Spell {
  /** The sentence that was told last, when, and how long it is not told again. */
  sentence: string
  at: number
  windowMs: number
  /** How often the sentence was told in this window. */
  times: number
  budget: number
  refilledAt: number
  held: number
  newest: Entry
}

export class Repeats {
  readonly #spells = new Map<string, Spell>()
  #held = 0

  /** What is to be told because of this entry: nothing, or it, after what had been held back before it. */
  take(entry: Entry, now: number): Told[] {
    const key = `${entry.rule} ${entry.service ?? ''} ${sortOf(entry.kind)}`
    const sentence = `${entry.kind} ${withoutMeasures(entry.why)}`
    const known = this.#spells.get(key)
    if (!known) {
      const fresh = {
        sentence,
        at: now,
        windowMs: WINDOW.firstMs,
        times: 1,
        budget: BURST - 1,
        refilledAt: now,
        held: 0,
      }
      this.#spells.set(key, { ...fresh, newest: entry })
      return [...this.#makeRoom(), entry]
    }
    refill(known, now)
    const isSame = known.sentence === sentence && !CHANGES.has(entry.rule)
    const isOver = now - known.at >= known.windowMs
    const mayPass = isSame ? known.held === 0 && (isOver || known.times < SAME) : known.budget > 0
    if (!mayPass) {
      known.held += 1
      known.newest = entry
      this.#held += 1
      return []
    }
    const before = known.held > 0 ? [this.#release(known)] : []
    if (isSame && !isOver) {
      known.times += 1
      return [entry]
    }
    if (!isSame) known.budget -= 1
    Object.assign(known, { sentence, at: now, windowMs: WINDOW.firstMs, times: 1 })
    this.#spells.delete(key) // the order of the map is that of the last telling
    this.#spells.set(key, known)
    return [...before, entry]
  }

  /** What was held back for long enough. Costs nothing while nothing is. */
  due(now: number): Told[] {
    if (this.#held === 0) return []
    const due = [...this.#spells.values()].filter(({ held, at, windowMs }) => held > 0 && now - at >= windowMs)
    return due.map((spell) => {
      const { kind, why } = spell.newest
      Object.assign(spell, {
        sentence: `${kind} ${withoutMeasures(why)}`,
        at: now,
        windowMs: longer(spell),
        times: SAME,
      })
      return this.#release(spell)
    })
  }

  /** All that is held back, because there is no later. */
  rest(): Told[] {
    return [...this.#spells.values()].filter(({ held }) => held > 0).map((spell) => this.#release(spell))
  }

  #makeRoom(): Told[] {
    const [oldest] = this.#spells
    if (this.#spells.size <= MOST_KEPT || !oldest) return []
    const [key, spell] = oldest
    this.#spells.delete(key)
    return spell.held > 0 ? [this.#release(spell)] : []
  }

  #release(spell: Spell): Told {
    const { held, newest } = spell
    this.#held -= held
    spell.held = 0
    return held === 1 ? newest : { ...newest, why: `${newest.why} (repeated ${held} times)`, repeated: held }
  }
}

/** That something began and that it ended are of one sort: in turns, neither is a repetition. */
function sortOf(kind: Entry['kind']): string {
  return kind === 'done' || kind === 'failed' ? kind : 'seen'
}

function refill(spell: Spell, now: number): void {
  const more = Math.floor((now - spell.refilledAt) / ANOTHER_AFTER_MS)
  if (more <= 0) return
  spell.budget = Math.min(BURST, spell.budget + more)
  spell.refilledAt += more * ANOTHER_AFTER_MS
}

function longer({ windowMs }: Spell): number {
  return Math.min(WINDOW.mostMs, 2 * windowMs)
}

const MEASURE = /\d+(\.\d+)?(?= ?(ms|s|min|h|bytes|kB|KiB|MB|MiB|GB|GiB|%|times)\b)|\bpid \d+|\b[0-9A-F]+\/[0-9A-F]+\b/g

function withoutMeasures(why: string): string {
  return why.replace(MEASURE, '#')
}
