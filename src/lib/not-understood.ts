/**
 * Messages that this version does not understand: an unknown kind is a newer version's and is ignored; one whose content makes
 * no sense is refused. Neither ends anything. Each kind is told once, and all are counted.
 */

/** What a decoder answers in place of a message; `what` names its kind. */
export interface Undecoded {
  readonly undecoded: 'unknown' | 'malformed'
  readonly what: string
}

export function isUndecoded(value: object): value is Undecoded {
  return 'undecoded' in value
}

export const unknownKind = (kind: unknown): Undecoded => ({ undecoded: 'unknown', what: nameOf(kind) })
export const malformed = (kind: unknown): Undecoded => ({ undecoded: 'malformed', what: nameOf(kind) })

/** Sentences are told for so many kinds at most: a sender that makes up kinds must not fill a log or this memory. */
const MOST_KINDS = 20

export class NotUnderstood {
  readonly #tell: (why: string) => void
  readonly #counts = new Map<string, number>()

  constructor(tell: (why: string) => void) {
    this.#tell = tell
  }

  /** How many there were, by sender and kind. */
  get counts(): ReadonlyMap<string, number> {
    return this.#counts
  }

  note(from: string, { undecoded, what }: Undecoded): void {
    const isNew = !this.#counts.has(`${from} ${undecoded} ${what}`)
    const key = isNew && this.#counts.size >= MOST_KINDS ? 'others' : `${from} ${undecoded} ${what}`
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1)
    if (!isNew || key === 'others') return
    if (undecoded === 'unknown')
      this.#tell(`ignored a message of kind ${what} from ${from}: a newer version may know it`)
    else this.#tell(`refused a message of kind ${what} from ${from}: its content is not as it should be`)
  }
}

function nameOf(kind: unknown): string {
  return typeof kind === 'string' ? `“${kind.slice(0, 40)}”` : 'without a name'
}
