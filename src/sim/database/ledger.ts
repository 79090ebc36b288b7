/**
 * What was promised to clients, by the world's own truth: each write that was acknowledged, and each that could be seen
 * when clients were admitted. A server that admits clients later, under whatever term, must have all of it.
 */
import { nothingIsMissing, onlyTheNewestAcknowledges } from '../../core/invariants.ts'
import type { NodeName, ServiceName, Term } from '../../core/model.ts'
import type { Disk } from './disk.ts'
import type { Entry } from './wal-model.ts'

/** What becomes of the service, by the world's truth. */
export interface Milestone {
  /**
   * `promoted`: it writes, and no other server has it yet. `opened`: clients were admitted. `rewound`: a replica was,
   * and has not caught up.
   */
  readonly what: 'promoted' | 'opened' | 'rewound'
  readonly node: NodeName
}

export class Ledger {
  readonly #service: ServiceName
  readonly #broken: (sentence: string) => void
  readonly #promised: Entry[] = []
  readonly #opened = new Map<Term, NodeName>()
  readonly #listeners: ((milestone: Milestone) => void)[] = []
  #newest: Term = 0
  acknowledged = 0
  /** The newest acknowledged write: when its client sent it, and when it was acknowledged. */
  last: { readonly node: NodeName; readonly term: Term; readonly sentAtMs: number; readonly atMs: number } | null = null
  /** The longest time between two acknowledged writes since it was last asked. */
  longestGapMs = 0
  /** What is not promised, and how often it came to that. */
  readonly unpromised = { early: 0, 'early and lost': 0, 'stale reads': 0, 'seen and gone': 0 }
  /** Acknowledged to a client that had asked for less, or shown by a standby; not promised until now. */
  #early: Entry[] = []
  #seen: Entry[] = []

  constructor(service: ServiceName, broken: (sentence: string) => void) {
    this.#service = service
    this.#broken = broken
  }

  /** In how many terms clients were admitted. */
  get openings(): number {
    return this.#opened.size
  }

  get newestTerm(): Term {
    return this.#newest
  }

  /** The service was removed and its data set aside: one of the same name begins with nothing. */
  forget(): void {
    this.#promised.length = 0
    this.#opened.clear()
    this.#newest = 0
    this.#early = []
    this.#seen = []
    this.last = null
  }

  onMilestone(listener: (milestone: Milestone) => void): void {
    this.#listeners.push(listener)
  }

  #reached(milestone: Milestone): void {
    for (const listener of this.#listeners) listener(milestone)
  }

  /** `own`: how much of its WAL its source does not have. A rewind must leave nothing of that. */
  rewound(node: NodeName, own: number): void {
    if (own > 0) this.#tell([`${this.#service} on ${node} was rewound and kept ${own} entries of its own`])
    this.#reached({ what: 'rewound', node })
  }

  acknowledge(node: NodeName, entry: Entry, log: readonly Entry[], nowMs: number, sentAtMs = nowMs): void {
    // A confirmation that was on its way since before the recruitment may arrive late: then the newest primary was
    // elected because it has this very write, which was promised when it admitted clients, and nothing is acknowledged
    // twice.
    if (this.#promised[entry.index] !== entry)
      this.#tell(onlyTheNewestAcknowledges(this.#service, node, entry.term, this.#newest))
    if (this.last) this.longestGapMs = Math.max(this.longestGapMs, nowMs - this.last.atMs)
    this.last = { node, term: entry.term, sentAtMs, atMs: nowMs }
    this.acknowledged += 1
    this.#promise(node, log, entry.index + 1)
  }

  /** Clients are admitted: what they find is all that was promised, and from now on it is promised itself. */
  open(node: NodeName, term: Term, log: readonly Entry[]): void {
    // An agent that slept may admit clients late, under a quorum that it had and has no more. They read what is old,
    // and nothing they write is ever acknowledged: fencing by a quorum promises no more than that.
    if (term < this.#newest) return
    const other = this.#opened.get(term)
    if (other !== undefined && other !== node)
      this.#tell([`${this.#service} is led in term ${term} by ${other} and by ${node}`])
    this.#opened.set(term, node)
    this.#newest = Math.max(this.#newest, term)
    this.#tell(nothingIsMissing(this.#service, node, this.#promised, log))
    this.#forgetLost(log)
    this.#promise(node, log, log.length)
    this.#reached({ what: 'opened', node })
  }

  /** Acknowledged to a client that did not want to wait, and only to that client (trap 12). */
  early(entry: Entry): void {
    this.unpromised.early += 1
    this.#early.push(entry)
  }

  /** A standby showed it, and all before it (trap 13). */
  seen(entry: Entry | undefined): void {
    if (entry && this.#seen.at(-1) !== entry && !this.#isPromised(entry)) this.#seen.push(entry)
  }

  /** A client read from a primary. The newest one shows all that was ever promised; an older one may lack some (trap 14). */
  read(node: NodeName, term: Term, log: readonly Entry[]): void {
    const last = this.#promised.at(-1)
    if (!last || log[last.index] === last) return
    if (term < this.#newest) this.unpromised['stale reads'] += 1
    else this.#tell(nothingIsMissing(this.#service, node, this.#promised, log))
  }

  /** What was not promised and is not in the WAL to which clients are admitted will never be seen again. */
  #forgetLost(log: readonly Entry[]): void {
    const isOpen = (entry: Entry) => !this.#isPromised(entry)
    const isHere = (entry: Entry) => log[entry.index] === entry
    const [early, seen] = [this.#early.filter(isOpen), this.#seen.filter(isOpen)]
    this.#early = early.filter(isHere)
    this.#seen = seen.filter(isHere)
    this.unpromised['early and lost'] += early.length - this.#early.length
    this.unpromised['seen and gone'] += seen.length - this.#seen.length
  }

  #isPromised(entry: Entry): boolean {
    return this.#promised[entry.index] === entry
  }

  /** Its position counts from here on, so it adds nothing to it: it leads nothing any more. */
  recruited(node: NodeName, term: Term, isPrimary: boolean): void {
    if (isPrimary) this.#tell([`${this.#service} on ${node} was recruited for term ${term} and is still primary`])
  }

  /**
   * A rewound replica has pages that are newer than its WAL: it must not be promoted before it has all of what they
   * came from.
   */
  promoted(node: NodeName, { log, soundFrom }: Pick<Disk, 'log' | 'soundFrom'>): void {
    if (log.length < soundFrom)
      this.#tell([
        `${this.#service} on ${node} was promoted after a rewind, ${soundFrom - log.length} entries too early`,
      ])
    this.#reached({ what: 'promoted', node })
  }

  /** What a replica that should have everything lacks. */
  missingOn(node: NodeName, log: readonly Entry[]): string[] {
    return nothingIsMissing(this.#service, node, this.#promised, log)
  }

  #promise(node: NodeName, log: readonly Entry[], length: number): void {
    for (let index = this.#promised.length; index < length; index += 1) {
      const entry = log[index]
      if (entry) this.#promised.push(entry)
    }
    const [mine, theirs] = [log[length - 1], this.#promised[length - 1]]
    if (mine !== theirs) this.#tell(nothingIsMissing(this.#service, node, this.#promised, log))
  }

  #tell(sentences: readonly string[]): void {
    for (const sentence of sentences) this.#broken(sentence)
  }
}
