/**
 * The rooms that only some commands need, loaded when they are needed: `status` must not wait for a TypeScript loader, nor
 * an agent for a table printer.
 */
import type { ClusterSpec } from '../core/model.ts'

export interface ConfigRoom {
  loadConfig(path?: string): Promise<{ readonly file: string; readonly raw: unknown }>
  compileCluster(
    raw: unknown,
    context: { readonly file: string },
  ): { readonly spec: ClusterSpec; readonly warnings: readonly Complaint[] }
  printComplaints(error: Error): string
  printWarnings(warnings: readonly Complaint[]): string
}

export interface Complaint {
  readonly path: string
  readonly problem: string
  readonly write: string
}

export interface AgentRoom {
  /** Runs the agent of one node until it is told to end; resolves to the exit code. */
  runAgent(options: { readonly node: string; readonly stateDir: string }): Promise<number>
}

export async function configRoom(): Promise<ConfigRoom> {
  const [load, compile, print] = await Promise.all(
    ['load', 'compile', 'print'].map((file) => import(`../config/${file}.js`)),
  )
  return { ...load, ...compile, ...print } as ConfigRoom
}

export async function agentRoom(): Promise<AgentRoom> {
  const room = '../agent/main.js'
  return (await import(room)) as AgentRoom
}
