/**
 * Tells each change of a service's redundancy once, by one node: the first that is alive. What was told last, by whichever
 * node, is in the journal, so another node that takes over, or an agent that was started again, does not repeat it. A state
 * is told when it has lasted for a moment: a failover is not to be told as three changes of redundancy.
 */
import type { EventRecord } from '../api/api-types.ts'
import type { ServiceName } from '../core/model.ts'
import { missingText, redundancyHead, redundancyOf } from '../core/redundancy.ts'
import { nodeState, type View } from '../core/view.ts'
import type { Journal } from './journal.ts'

/** Longer than a failover takes, shorter than an operator waits. */
const LASTS_MS = 2_000
/** Between two looks: in a large cluster one costs as much as all else of a turn, and turns come in dozens. */
const LOOK_EVERY_MS = 1_000

interface Seen {
  readonly head: string
  readonly since: number
  /** What stood last in the journal when it was told. Something else by now: another node told a change in between. */
  told?: EventRecord | undefined
  isTold: boolean
}

export class RedundancyNews {
  readonly #seen = new Map<ServiceName, Seen>()
  #lookedAt = Number.NEGATIVE_INFINITY

  /** In every turn; looks at most once a second. */
  see(view: View, journal: Pick<Journal, 'lastOf' | 'tell'>): void {
    if (!isSpeaker(view) || view.local.stopping) return this.#seen.clear()
    if (view.now - this.#lookedAt < LOOK_EVERY_MS) return
    this.#lookedAt = view.now
    for (const service of view.cluster.services) {
      if (service.stopped) continue // an operator wants it so
      const now = redundancyOf(view, service)
      const head = redundancyHead(service.name, now)
      const seen = this.#seen.get(service.name)
      if (seen?.head !== head) {
        this.#seen.set(service.name, { head, since: view.now, isTold: false })
        continue
      }
      const last = journal.lastOf(service.name, 'redundancy')
      if (view.now - seen.since < LASTS_MS || (seen.isTold && seen.told === last)) continue
      seen.isTold = true
      seen.told = last
      if (says(last, head)) continue
      const reasons = missingText(now.missing)
      const isWhole = now.state === 'redundant' || now.state === 'not-redundant'
      journal.tell({
        service: service.name,
        rule: 'redundancy',
        kind: isWhole ? 'told' : 'noticed',
        why: reasons === '' ? head : `${head} (${reasons})`,
      })
      seen.told = journal.lastOf(service.name, 'redundancy')
    }
  }
}

function says(last: EventRecord | undefined, head: string): boolean {
  return last !== undefined && (last.why === head || last.why.startsWith(`${head} (`))
}

function isSpeaker(view: View): boolean {
  return view.cluster.nodes.find(({ name }) => nodeState(view, name) === 'alive')?.name === view.self
}
