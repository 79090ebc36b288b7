/**
 * `/metrics` in Prometheus text. Nothing is counted here: each scrape writes down what status, gauges and receipts say at
 * that moment, in a registry of its own. So metrics can never disagree with status, and nothing leaks between scrapes.
 */
import { Counter, Gauge, Registry } from 'prom-client'
import type { Receipt, Status } from './api-types.ts'
import { REDUNDANCY_STATES } from './schemas.ts'
import type { Gauges, Surface } from './surface.ts'

type Labels = Readonly<Record<string, string>>

/** Writes metrics by name; the first value of a name declares it. */
class Page {
  readonly registry = new Registry()
  readonly #gauges = new Map<string, Gauge>()
  readonly #counters = new Map<string, Counter>()

  gauge(name: string, help: string, value: number, labels: Labels = {}): void {
    let gauge = this.#gauges.get(name)
    if (!gauge) {
      gauge = new Gauge({ name, help, labelNames: Object.keys(labels), registers: [this.registry] })
      this.#gauges.set(name, gauge)
    }
    gauge.set(labels, value)
  }

  counter(name: string, help: string, value: number, labels: Labels = {}): void {
    let counter = this.#counters.get(name)
    if (!counter) {
      counter = new Counter({ name, help, labelNames: Object.keys(labels), registers: [this.registry] })
      this.#counters.set(name, counter)
    }
    counter.inc(labels, value)
  }
}

export async function renderMetrics(surface: Pick<Surface, 'status' | 'gauges' | 'receipts'>): Promise<string> {
  const page = new Page()
  writeCluster(page, surface.status())
  writeChanges(page, surface.receipts())
  writeAgent(page, surface.gauges())
  return page.registry.metrics()
}

function writeCluster(page: Page, status: Status): void {
  page.gauge('understudy_store_writable', '1 while the store takes changes', flag(status.store.writable))
  if (status.config) {
    const { number, leaving, removed, refused } = status.config
    page.gauge('understudy_config_number', 'grows with every config that is applied', number)
    const left = leaving.length + removed.length
    page.gauge(
      'understudy_config_leftover',
      'nodes and services that the config no longer names and that are not gone',
      left,
    )
    page.gauge('understudy_config_refused', '1 while a newer config cannot be acted on', flag(refused !== null))
  }
  for (const { name: node, alive, drained, leaving } of status.nodes) {
    page.gauge('understudy_node_alive', '1 while the node is heard from', flag(alive), { node })
    page.gauge('understudy_node_leaving', '1 while the node is on its way out of the config', flag(leaving === true), {
      node,
    })
    page.gauge('understudy_node_drained', '1 while the node is drained', flag(drained), { node })
  }
  for (const service of status.services) writeService(page, service)
}

function writeService(page: Page, service: Status['services'][number]): void {
  const of = { service: service.name }
  page.gauge('understudy_service_healthy', '1 while the service does its work', flag(service.healthy), of)
  for (const state of REDUNDANCY_STATES) {
    const help = '1 for the state of redundancy that the service is in, 0 for the others'
    const isIn = flag(service.redundancyState.state === state)
    page.gauge('understudy_service_redundancy', help, isIn, { ...of, state })
  }
  const { there, wanted } = service.redundancyState
  page.gauge('understudy_service_instances_wanted', 'instances that are wanted', wanted, of)
  page.gauge('understudy_service_instances_there', 'instances that are there, ready cold standbys included', there, of)
  const { rollout, stopped } = service
  const isState = (state: string) => flag(rollout?.state === state)
  page.gauge('understudy_service_rolling', '1 while instances are replaced in turns', isState('rolling'), of)
  page.gauge('understudy_service_rollout_stopped', '1 while a roll-out stopped at a failure', isState('stopped'), of)
  page.gauge(
    'understudy_service_stopped',
    '1 while an operator has stopped the service',
    flag(stopped !== undefined),
    of,
  )
  page.gauge('understudy_service_term', 'grows with every change of primary', service.term, of)
  for (const { node, role, healthy, failures } of service.instances) {
    if (role === 'primary') {
      const help = '1 for the node of the primary of the service'
      page.gauge('understudy_service_primary', help, flag(service.primary === node), { ...of, node })
    }
    page.gauge('understudy_instance_healthy', '1 while the instance is healthy', flag(healthy), { ...of, node, role })
    const help = 'ends of the instance in a row without good health between them'
    page.gauge('understudy_instance_failures', help, failures, { ...of, node })
  }
}

/** The latest change of each service and kind. Receipts are kept for a while only, so they cannot be counted. */
function writeChanges(page: Page, receipts: readonly Receipt[]): void {
  for (const { service, kind, backAfterMs, noticedAt } of receipts) {
    const of = { service, kind }
    page.gauge('understudy_last_change_seconds', 'from noticed to healthy again', backAfterMs / 1_000, of)
    const at = Date.parse(noticedAt) / 1_000
    page.gauge('understudy_last_change_timestamp_seconds', 'when it was noticed', at, of)
  }
}

function writeAgent(page: Page, gauges: Gauges): void {
  page.gauge('understudy_agent_loop_lag_seconds', 'how late the event loop was at worst', gauges.loopLagMs / 1_000)
  page.gauge('understudy_agent_resident_memory_bytes', 'memory of the agent', gauges.rssBytes)
  page.gauge('understudy_store_age_seconds', 'since the store last answered', gauges.storeAgeMs / 1_000)
  page.counter('understudy_agent_turns_total', 'turns of the loop', gauges.turns)
  page.counter('understudy_agent_steps_done_total', 'steps that were done', gauges.stepsDone)
  page.counter('understudy_agent_steps_failed_total', 'steps that failed', gauges.stepsFailed)
  for (const { service, purpose, ...route } of gauges.balancer) {
    const of = { service, purpose }
    page.counter('understudy_balancer_requests_total', 'requests taken', route.requests, of)
    page.counter('understudy_balancer_connections_total', 'connections taken', route.connections, of)
    page.counter('understudy_balancer_retried_total', 'requests tried again elsewhere', route.retried, of)
    page.counter('understudy_balancer_failed_total', 'requests answered with an error of ours', route.failed, of)
    page.counter('understudy_balancer_held_total', 'requests held until something could serve them', route.held, of)
    page.counter('understudy_balancer_full_total', 'requests refused because every instance was full', route.full, of)
    page.gauge('understudy_balancer_streams', 'upgraded connections and event streams open now', route.streams, of)
    page.gauge('understudy_balancer_open_connections', 'connections open now', route.open, of)
  }
}

function flag(value: boolean): number {
  return value ? 1 : 0
}
