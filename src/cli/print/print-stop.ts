/** How a stop goes, and how it went. */
import type { LeftProcess, StopReport } from '../../local/stop-cluster.ts'
import type { Io } from '../io.ts'
import { clip } from './columns.ts'

/** `waiting for a: agent web  b: agent`. */
export function leftLine(io: Io, left: readonly LeftProcess[]): string {
  const nodes = [...new Set(left.map(({ node }) => node))].sort()
  const parts = nodes.map(
    (name) => `${io.paint.bold(name)}: ${left.flatMap(({ node, what }) => (node === name ? [what] : [])).join(' ')}`,
  )
  return clip(io, `waiting for  ${parts.join('   ')}`)
}

export function stopLines(io: Io, { told, why, killed }: StopReport): string[] {
  const orderly = told ? [] : [io.paint.yellow(`The agents could not be told to stop: ${why}.`)]
  if (killed.length === 0) return [...orderly, 'Stopped. Nothing had to be killed.']
  return [...orderly, io.paint.yellow('Stopped. These did not end in time and were killed:'), ...killed.map(nameLine)]
}

/** It was asked for. */
export function killedLines(io: Io, killed: readonly LeftProcess[]): string[] {
  return [io.paint.yellow('Killed at once, as you asked:'), ...killed.map(nameLine)]
}

function nameLine({ node, what, identity }: LeftProcess): string {
  return `  ${node}  ${what} (process ${identity.pid})`
}
