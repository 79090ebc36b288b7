/**
 * Things that are wrong and that this node can only say: they explain what other finders do or do not do.
 */
import { mayUse } from '../placement.ts'
import { missingSecretsIn, missingSecretsText } from '../secrets.ts'
import { isDrained, nodeState } from '../view.ts'
import { type Finder, forEachService } from './problem.ts'

/** What runs goes on running; nothing that needs agreement happens until the store answers again. */
export const storeAway: Finder = (view) =>
  view.store.reachable
    ? []
    : [
        {
          rule: 'store-away',
          service: null,
          evidence: 'first-hand',
          why: `the store does not answer (${view.store.why}): what runs goes on, and nothing that needs agreement is done`,
          steps: [],
        },
      ]

/** A later version of Understudy wrote a config that this one does not understand: it guesses nothing. */
export const configRefused: Finder = (view) =>
  view.config?.refused === undefined
    ? []
    : [{ rule: 'config-refused', service: null, evidence: 'first-hand', why: view.config.refused, steps: [] }]

/** choose.ts starts nothing then, so that a program is not started again and again without what it needs. */
export const secretMissing = forEachService((view, service) => {
  const missing = missingSecretsIn(view, service).map((name) => ({ name, services: [service.name] }))
  if (missing.length === 0 || view.local.stopping) return undefined
  const what = view.store.secrets ? missingSecretsText(missing) : 'its secrets are in the store, which was not read yet'
  const why = `no instance of ${service.name} can be started: ${what}`
  return { rule: 'secret-missing', service: service.name, evidence: 'first-hand', why, steps: [], told: 'once' }
})

/** A majority of its observers has heard nothing from it for `lostAfterMs`. */
export const nodeLost: Finder = (view) =>
  view.cluster.nodes
    .filter((node) => nodeState(view, node.name) === 'lost')
    .map((node) => ({
      rule: 'node-lost',
      service: null,
      evidence: 'inferred',
      why: `${node.name} (zone ${node.zone}) is lost: a majority of the nodes that watch it hears nothing`,
      steps: [],
      told: 'once',
    }))

/** Fewer nodes are left than instances were asked for: redundancy is gone and comes back only with a node. */
export const tooFewInstances = forEachService((view, service) => {
  // Placement (core/placement.ts) takes every node that may be used, up to the number that is asked for.
  let placed = 0
  for (const { name } of view.cluster.nodes)
    if (mayUse(service, name) && nodeState(view, name) !== 'lost' && !isDrained(view, name)) placed += 1
  if (placed >= service.instances) return undefined
  const why = `${service.name} asks for ${service.instances} instances and only ${placed} can be placed: too few nodes are left`
  return { rule: 'too-few-instances', service: service.name, evidence: 'inferred', why, steps: [], told: 'once' }
})
