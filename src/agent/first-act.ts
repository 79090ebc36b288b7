/**
 * The first thing that an agent does, before the rest of the program is even loaded: when the fence of its node is dead or
 * frozen, it kills the single writers whose saved deadline has passed. Loading takes some hundred milliseconds, on a busy
 * machine seconds, and another node may lead by then.
 *
 * A living fence is left to do it: it knows later deadlines than its file does.
 */
import { join } from 'node:path'
import { systemClock as clock } from '../lib/clock.ts'
import { livingState } from '../lib/proc.ts'
import { isStopped } from '../lib/stopped-spell.ts'
import { kill } from './fence-kill.ts'
import { NOTHING_SAVED, readSaved, type Saved } from './fence-saved.ts'
import { noteKill } from './own-kills.ts'

/** `args` are those of the command line; nothing is done for any command but `agent`. */
export function killWhatIsDue(args: readonly string[]): void {
  const [node, state] = [optionOf(args, '--node'), optionOf(args, '--state')]
  if (args[0] !== 'agent' || node === undefined || state === undefined) return
  killDueIn(join(state, 'nodes', node))
}

/** Goes on with the leases that the agent before has left, if this is an agent (first-renewal.ts). */
export async function renewWhatRuns(args: readonly string[]): Promise<void> {
  const [node, state] = [optionOf(args, '--node'), optionOf(args, '--state')]
  if (args[0] !== 'agent' || node === undefined || state === undefined) return
  const { firstRenewals } = await import('./first-renewal.ts') // no other command needs the store for this
  await firstRenewals(node, state)
}

/** Kills what a dead fence of this node's folder should have killed by now. */
export function killDueIn(nodeDir: string): void {
  const { fence, armed } = readIfPossible(join(nodeDir, 'fence-saved.json'))
  const keeper = fence && livingState(fence)
  if (keeper && !isStopped(keeper)) return
  const due = armed.filter(({ killAtMono }) => killAtMono <= clock.mono())
  for (const fenced of due.map(kill)) if (fenced.outcome === 'killed') noteKill(nodeDir, fenced, 'next-agent')
}

function readIfPossible(path: string): Saved {
  try {
    return readSaved(path)
  } catch {
    return NOTHING_SAVED // the fence says so, and the agent arms again what runs
  }
}

function optionOf(args: readonly string[], name: string): string | undefined {
  const at = args.indexOf(name)
  if (at >= 0) return args[at + 1]
  return args.find((arg) => arg.startsWith(`${name}=`))?.slice(name.length + 1)
}
