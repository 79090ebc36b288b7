/**
 * There is no primary. The next node in line takes the lead by compare-and-swap; the others wait a little longer each,
 * in case the first cannot. After silence the lead only becomes free when the old lease has ended in the store, which
 * is later than the old holder believes (core/lease.ts): by then its fence has killed what ran there.
 */
import { endedInOrder, turnInMs } from '../election.ts'
import { needsMet } from '../needs.ts'
import type { ServiceRecord } from '../records.ts'
import type { Rule } from '../rule-names.ts'
import { hasLeader, leadOf, nodeState, recordOf, type View } from '../view.ts'
import { forEachUnreplicated } from './problem.ts'

export const noPrimary = forEachUnreplicated((view, service) => {
  if (!hasLeader(service) || leadOf(view, service.name) || !view.store.reachable || view.local.stopping)
    return undefined
  const record = recordOf(view, service.name)
  const freeForMs = view.store.leadFreeForMs[service.name] ?? 0
  const myTurn = turnInMs(view, service)
  const mayAct = myTurn !== undefined && freeForMs >= myTurn && needsMet(view, service)
  return {
    rule: ruleOf(record),
    service: service.name,
    evidence: record.vacancy ? 'first-hand' : 'inferred',
    why: whyFree(view, service.name),
    told: 'by-actor',
    steps: mayAct
      ? [{ kind: 'take-lead', service: service.name, term: record.term + 1, revision: record.revision }]
      : [],
  }
})

/** A fault that was told keeps its name until it is mended; an orderly end is no fault. */
function ruleOf({ term, vacancy }: ServiceRecord): Rule {
  if (term === 0 || endedInOrder(vacancy)) return 'no-primary'
  return vacancy?.rule ?? 'primary-lost'
}

function whyFree(view: View, service: string): string {
  const { term, primary, vacancy } = recordOf(view, service)
  if (vacancy && endedInOrder(vacancy))
    return `${service} has not been led since ${vacancy.rule === 'service-stopped' ? 'it' : 'the cluster'} was stopped`
  if (vacancy) return vacancy.why
  if (term === 0 || primary === null) return `${service} has no primary yet`
  const state = nodeState(view, primary)
  const silent = state === 'alive' ? 'did not renew its lease' : `is silent (${state}) and its lease has ended`
  return `the primary of ${service} is lost: ${primary} ${silent}`
}
