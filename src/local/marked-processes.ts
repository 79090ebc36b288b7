/**
 * Processes of a cluster by a variable in their environment: the folder of their node. Agents get it from `up`, and
 * everything that an agent starts gets it from the agent. It finds what runs when the identity files are gone with the
 * state folder; where there are files, node-processes.ts finds the same with less work.
 *
 * The value is the whole path of one node's folder, so that processes of another cluster, and programs that merely name
 * the folder on their command line, are never taken for ours.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { identify, type ProcessIdentity, processState } from '../lib/proc.ts'
import type { NodeProcess } from './node-processes.ts'

export const NODE_FOLDER_MARK = 'UNDERSTUDY_NODE_FOLDER'

export interface MarkedProcess extends NodeProcess {
  readonly node: string
}

interface Found extends MarkedProcess {
  readonly parent: number
  readonly group: number
}

/** What runs of any node whose folder lies in `nodesFolder`: the first of each family, as its signal reaches the others. */
export function markedProcesses(nodesFolder: string): MarkedProcess[] {
  const found = new Map(pids().flatMap((pid) => lookAt(pid, nodesFolder).map((one) => [pid, one] as const)))
  const isHead = ({ parent, group, identity, what }: Found) =>
    found.get(parent)?.what !== what && (group === identity.pid || !found.has(group))
  return [...found.values()].filter(isHead).map(({ node, what, identity }) => ({ node, what, identity }))
}

/**
 * The `up` that looks after agents of these folders: their parent, for as long as it lives. Undefined when there is none; it is for the case
 * that the file which names it is gone.
 */
export function keeperOf(processes: readonly MarkedProcess[]): ProcessIdentity | undefined {
  const parents = processes
    .filter(({ what }) => what === 'agent')
    .map(({ identity }) => processState(identity.pid)?.parent)
  const keeper = parents.find((pid) => pid !== undefined && pid > 1 && readWords(`/proc/${pid}/cmdline`).includes('up'))
  return keeper === undefined ? undefined : identify(keeper)
}

function pids(): number[] {
  return readdirSync('/proc').flatMap((name) =>
    /^\d+$/.test(name) && Number(name) !== process.pid ? [Number(name)] : [],
  )
}

function lookAt(pid: number, nodesFolder: string): Found[] {
  const environment = readWords(`/proc/${pid}/environ`)
  const folder = entryOf(environment, NODE_FOLDER_MARK)
  if (folder === undefined || dirname(folder) !== nodesFolder) return []
  const [identity, state] = [identify(pid), processState(pid)]
  if (!identity || !state) return []
  const what = entryOf(environment, 'UNDERSTUDY_SERVICE') ?? roleOf(readWords(`/proc/${pid}/cmdline`))
  return [{ node: basename(folder), what, identity, parent: state.parent, group: state.group }]
}

/** `agent` as it stands on the command line; of what an agent started, the name of its program. */
function roleOf(words: readonly string[]): string {
  if (words.includes('agent') && words.includes('--node')) return 'agent'
  if (words.some((word) => word.includes('fence-process'))) return 'fence'
  if (words.some((word) => /balancer[/\\]main\.[jt]s$/.test(word))) return 'balancer'
  return basename(words[0] ?? 'process')
}

function entryOf(environment: readonly string[], name: string): string | undefined {
  return environment.find((entry) => entry.startsWith(`${name}=`))?.slice(name.length + 1)
}

function readWords(path: string): string[] {
  try {
    return readFileSync(path, 'utf8').split('\0')
  } catch {
    return [] // it ended, or belongs to another user: then it is not of our starting
  }
}
