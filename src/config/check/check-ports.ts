/**
 * What takes which port. On every node, at its one address, listen: the API, the endpoint of every service, and the
 * instances that have a port of their own. No two of them may want the same one. A port that a driver chooses is not
 * checked: it takes a free one.
 */
import type { Findings } from '../complaint.ts'
import type { Draft, DraftService } from '../draft.ts'

interface Claim {
  readonly port: number
  /** Where it is written. */
  readonly path: string
  /** Where it listens: the names of nodes. */
  readonly nodes: readonly string[]
}

const WRITE = 'a port that nothing else takes'

export function checkPorts(draft: Draft, findings: Findings): void {
  const claims: Claim[] = []
  for (const claim of [apiClaim(draft), ...draft.services.flatMap((service) => serviceClaims(draft, service))]) {
    const other = claims.find(
      ({ port, nodes }) => port === claim.port && nodes.some((node) => claim.nodes.includes(node)),
    )
    if (other === undefined) claims.push(claim)
    else findings.complain(claim.path, `is ${claim.port}, which ${other.path} takes already`, WRITE)
  }
}

function apiClaim(draft: Draft): Claim {
  return { port: draft.apiPort, path: 'api.port', nodes: draft.nodeNames }
}

function serviceClaims(draft: Draft, { path, kind, options }: DraftService): Claim[] {
  const listeners = kind.endpoints(options).map(({ option, endpoint }) => {
    return { port: endpoint.port, path: `${path}.${option}`, nodes: draft.nodeNames }
  })
  const own = kind.ownPorts(options).map(({ option, port }) => {
    return { port, path: `${path}.${option}`, nodes: options.nodes ?? draft.nodeNames }
  })
  return [...listeners, ...own]
}
