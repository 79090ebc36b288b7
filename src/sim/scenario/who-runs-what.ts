/** Who runs what, by the world's own truth, as a table of text. */

import type { SimNode } from '../sim-node.ts'
import type { Process } from '../sim-processes.ts'
import type { World } from '../sim-world.ts'

export function tableOf(world: World): string[] {
  const services = world.cluster.services.map(({ name }) => name)
  const rows = [['node', 'zone', 'agent', ...services]]
  for (const { name, zone } of world.cluster.nodes) {
    const node = world.node(name)
    const agent = node.isUp ? node.agentState : 'no power'
    rows.push([name, zone, agent, ...services.map((service) => cell(node, node.processes.of(service)))])
  }
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length))) ?? []
  return rows.map((row) => `    ${row.map((text, column) => text.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd())
}

function cell(node: SimNode, process: Process | undefined): string {
  if (!process) return '-'
  const term = process.role === 'primary' ? ` ${process.term}` : ''
  const state = process.frozen ? ', frozen' : node.processes.isHealthy(process) ? '' : ', not well'
  return `${process.role}${term}${state}`
}
