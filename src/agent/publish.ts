/**
 * What this node tells after each turn: the routes to its balancer and its report to the other agents, each when it has
 * changed. A report is also said again once a second, so that what was lost on the way is not lost for good.
 */
import type { ClusterSpec, NodeName, NodeReport } from '../core/model.ts'
import type { ReportedProblem } from '../core/reported-problem.ts'
import { routesFor } from '../core/routing.ts'
import type { Route } from '../core/routing-table.ts'
import type { View } from '../core/view.ts'
import type { World } from './agent-ports.ts'
import { isNoNews } from './report-news.ts'

const AGAIN_MS = 1_000

export class Publisher {
  readonly #world: Pick<World, 'clock' | 'balancer' | 'mesh' | 'pids' | 'versions'>
  readonly #self: NodeName
  readonly #incarnation: number
  #routes: readonly Route[] | undefined
  /** That the routes were made for. */
  #cluster: ClusterSpec | undefined
  #version: number
  #reported: { readonly report: NodeReport; readonly at: number } | undefined

  constructor(world: Pick<World, 'clock' | 'balancer' | 'mesh' | 'pids' | 'versions'>, self: NodeName) {
    this.#world = world
    this.#self = self
    this.#incarnation = world.clock.wall()
    // Versions grow over restarts of the agent, because the monotonic clock does; over a restart of the machine the
    // agent's end of the balancer sees to it (balancer-link.ts). The wall clock may be set back.
    this.#version = Math.floor(world.clock.mono())
  }

  /**
   * A new agent knows little at first, and a table without an instance cuts what hangs on it. So it tells nothing until it
   * has heard every other node, or long enough to call the silent ones lost; the balancer has the last table until then.
   */
  routes(view: View): void {
    if (!isInformed(view)) return
    const before = view.cluster === this.#cluster ? this.#routes : undefined
    const routes = routesFor(view, before)
    if (routes === before) return
    this.#cluster = view.cluster
    this.#routes = routes
    this.#version += 1
    this.#world.balancer.publish({ version: this.#version, node: this.#self, routes })
  }

  /** `again`: also when nothing changed; a peer may not have heard the last one. */
  report(view: View, found: readonly ReportedProblem[], again: boolean): void {
    const { instances, stopping } = view.local
    const pids = this.#world.pids()
    const report: NodeReport = {
      node: this.#self,
      incarnation: this.#incarnation,
      agentPid: pids.agent,
      balancerPid: pids.balancer,
      fencePid: pids.fence,
      ...this.#world.versions?.(),
      openDoors: this.#world.balancer.open,
      leaving: this.#world.balancer.leaving,
      holding: this.#world.balancer.holding,
      still: this.#world.balancer.still,
      ready: this.#world.balancer.ready,
      ahead: this.#world.balancer.ahead,
      sessions: this.#world.balancer.sessions,
      instances: Object.values(instances),
      stopping,
      config: view.config?.number,
      problems: found.map(({ rule, service, evidence, why }) => ({ rule, service, evidence, why })),
    }
    const at = this.#world.clock.mono()
    const last = this.#reported
    if (!again && last && at - last.at < AGAIN_MS && isNoNews(last.report, report)) return
    this.#reported = { report, at }
    this.#world.mesh.broadcast({ kind: 'report', report })
  }
}

function isInformed({ peers, cluster, local }: View): boolean {
  return local.startedAgoMs >= cluster.timing.lostAfterMs || Object.values(peers).every(({ report }) => report !== null)
}
