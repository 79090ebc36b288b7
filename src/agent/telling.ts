/**
 * What this node tells after each turn: the routes to its balancer and its report to the other agents, each when it has
 * changed. A report is also said again once a second, so that what was lost on the way is not lost for good.
 */
import type { InstanceReport, NodeName, NodeReport } from '../core/model.ts'
import type { ReplicaReport } from '../core/replica.ts'
import type { ReportedProblem } from '../core/reported-problem.ts'
import { type Route, routesFor } from '../core/routing.ts'
import type { View } from '../core/view.ts'
import type { World } from './world.ts'

const AGAIN_MS = 1_000

export class Telling {
  readonly #world: Pick<World, 'clock' | 'door' | 'mesh' | 'pids'>
  readonly #self: NodeName
  readonly #incarnation: number
  #routes: { readonly text: string; readonly version: number; readonly routes: readonly Route[] }
  #reported = { text: '', at: Number.NEGATIVE_INFINITY }

  constructor(world: Pick<World, 'clock' | 'door' | 'mesh' | 'pids'>, self: NodeName) {
    this.#world = world
    this.#self = self
    this.#incarnation = world.clock.wall()
    // Versions grow over restarts of the agent, because the monotonic clock does; over a restart of the machine the
    // agent's end of the balancer sees to it (doors.ts). The wall clock may be set back.
    this.#routes = { text: '', version: Math.floor(world.clock.mono()), routes: [] }
  }

  /**
   * A new agent knows little at first, and a table without an instance cuts what hangs on it. So it tells nothing until it
   * has heard every other node, or long enough to call the silent ones lost; the balancer has the last table until then.
   */
  routes(view: View): void {
    if (!isInformed(view)) return
    const routes = routesFor(view, this.#routes.routes)
    const text = JSON.stringify(routes)
    if (text === this.#routes.text) return
    this.#routes = { text, version: this.#routes.version + 1, routes }
    this.#world.door.publish({ version: this.#routes.version, node: this.#self, routes })
  }

  /** `again`: also when nothing changed; somebody may not have heard the last one. */
  report(view: View, found: readonly ReportedProblem[], again: boolean): void {
    const { instances, stopping } = view.local
    const pids = this.#world.pids()
    const report: NodeReport = {
      node: this.#self,
      incarnation: this.#incarnation,
      agentPid: pids.agent,
      balancerPid: pids.balancer,
      fencePid: pids.fence,
      openDoors: this.#world.door.open,
      sessions: this.#world.door.sessions,
      instances: Object.values(instances),
      stopping,
      problems: found.map(({ rule, service, evidence, why }) => ({ rule, service, evidence, why })),
    }
    const text = JSON.stringify({ ...report, instances: report.instances.map(withoutAges) })
    const now = this.#world.clock.mono()
    if (!again && text === this.#reported.text && now - this.#reported.at < AGAIN_MS) return
    this.#reported = { text, at: now }
    this.#world.mesh.broadcast({ kind: 'report', report })
  }
}

function isInformed({ peers, cluster, local }: View): boolean {
  return local.startedAgoMs >= cluster.timing.lostAfterMs || Object.values(peers).every(({ report }) => report !== null)
}

/** Ages change all the time and are no news. */
function withoutAges(instance: InstanceReport): unknown {
  const { replica } = instance
  const ages = { healthForMs: 0, stateForMs: 0, retryInMs: instance.retryInMs > 0 ? 1 : 0 }
  return { ...instance, ...ages, ...(replica && { replica: withoutProgress(replica) }) }
}

/** A log that grows is no news; what a fenced copy has is: it decides who leads next. */
function withoutProgress(replica: ReplicaReport): unknown {
  const { position, streaming } = replica
  const moves = { replayLagBytes: 0, streaming: streaming.map(({ node }) => node) }
  return { ...replica, ...moves, position: replica.fenced ? position : position?.term }
}
