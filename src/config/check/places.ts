/**
 * No two instances in one place. An instance takes its data folder for its own: it ends whatever server runs there and makes
 * its own of what lies there. Two of them on one folder would each end the other's server, on an operator's data.
 *
 * One machine has one set of folders, so all nodes at addresses of this machine share it, and only a path with `{node}` in it
 * is another one on each. Links are followed, also in those parts of a path that exist already.
 */
import { basename, dirname, join, relative, resolve } from 'node:path'
import type { Findings } from '../complaint.ts'
import type { Draft, DraftService } from '../draft.ts'

/** Stands for the node's name in a path. */
export const NODE_IN_PATH = '{node}'

export interface PlaceContext {
  /** Where relative paths start. */
  readonly folder: string
  readonly isLocal: (address: string) => boolean
  /** The path with all links followed; undefined when nothing is there. */
  readonly realPath: (path: string) => string | undefined
}

interface Claim {
  readonly place: string
  readonly service: string
  readonly node: string
  /** Where it is written. */
  readonly path: string
}

export function checkPlaces(draft: Draft, context: PlaceContext, findings: Findings): void {
  const claims: Claim[] = []
  const complained = new Set<string>()
  for (const claim of draft.services.flatMap((service) => claimsOf(draft, service, context))) {
    const other = claims.find((one) => isWithin(one.place, claim.place) || isWithin(claim.place, one.place))
    if (other === undefined) claims.push(claim)
    else if (!complained.has(claim.path)) {
      complained.add(claim.path)
      findings.complain(
        claim.path,
        problem(claim, other),
        `a path with ${NODE_IN_PATH} in it, such as /srv/db/${NODE_IN_PATH}`,
      )
    }
  }
}

function problem(claim: Claim, other: Claim): string {
  const whose = `the instance of ${other.service} on ${other.node}`
  if (claim.place === other.place) return `is ${claim.place} on ${claim.node}, which is the folder of ${whose} as well`
  const where = isWithin(claim.place, other.place) ? 'lies within' : 'holds'
  return `is ${claim.place} on ${claim.node}, which ${where} ${other.place}, the folder of ${whose}`
}

/** Only nodes of this machine: others have folders of their own. */
function claimsOf(draft: Draft, { name, path, kind, options }: DraftService, context: PlaceContext): Claim[] {
  const places = kind.ownPlaces?.(options) ?? []
  const nodes = [...draft.nodes].filter(
    ([node, { address }]) =>
      (options.nodes?.includes(node) ?? true) && (address === undefined || context.isLocal(address)),
  )
  return places.flatMap(({ option, place }) =>
    nodes.map(([node]) => {
      const written = resolve(context.folder, place.replaceAll(NODE_IN_PATH, node))
      return { place: followed(written, context.realPath), service: name, node, path: `${path}.${option}` }
    }),
  )
}

/** What is not there yet lies where the nearest folder that is there really is. */
function followed(path: string, realPath: PlaceContext['realPath']): string {
  const real = realPath(path)
  if (real !== undefined || path === dirname(path)) return real ?? path
  return join(followed(dirname(path), realPath), basename(path))
}

function isWithin(path: string, folder: string): boolean {
  const way = relative(folder, path)
  return way === '' || (!way.startsWith('..') && !way.startsWith('/'))
}
