/** Whether what is asked for fits on the nodes there are. */
import type { Findings } from '../complaint.ts'
import type { Draft, DraftService } from '../draft.ts'

const DEFAULT_INSTANCES = 2

export function checkPlacement(draft: Draft, findings: Findings): void {
  for (const service of draft.services) checkInstances(draft, service, findings)
}

function checkInstances(draft: Draft, service: DraftService, findings: Findings): void {
  const { path, options } = service
  const instances = instancesOf(draft, service)
  const usable = usableNodes(draft, service).length
  if (usable > 0 && instances > usable) {
    const where = options.nodes === undefined ? `there ${usable === 1 ? 'is' : 'are'}` : 'it may use'
    const problem = `is ${instances}, and ${where} ${usable} node${usable === 1 ? '' : 's'}; each instance needs one of its own`
    findings.complain(`${path}.instances`, problem, `${usable}${usable === 1 ? '' : ' or less'}, or more nodes`)
  }
  if (options.redundancy === 'active-passive' && instances === 1) {
    findings.warn(`${path}.instances`, 'is 1, so nothing stands by: a failover waits for a fresh start', '2 or more')
  }
}

/** How many are asked for, the default filled in. */
export function instancesOf(draft: Draft, service: DraftService): number {
  return service.options.instances ?? Math.max(1, Math.min(DEFAULT_INSTANCES, usableNodes(draft, service).length))
}

/** Nodes it may use and that are there; unknown names have been complained about elsewhere. */
function usableNodes(draft: Draft, { options }: DraftService): readonly string[] {
  return options.nodes === undefined ? draft.nodeNames : draft.nodeNames.filter((name) => options.nodes?.includes(name))
}
