/**
 * The processes of a node, found by the identity files that they, or those who started them, wrote into the node's
 * folder. A file is believed only as far as the kernel agrees: pid and start time.
 *
 * Killing a node must be final, as pulling a plug is: first what starts other things (the agent), then everything else,
 * and again until nothing is found, because something may have been started between the look and the kill.
 *
 * A file that cannot be used keeps nothing from being ended; but before it is said that nothing runs, `unreadableIn` is asked.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { UnderstudyError } from '../errors.ts'
import { isAbsent, unreadable, writeFileAtomic } from '../lib/files.ts'
import { readIdentityFile } from '../lib/identity-file.ts'
import { familyOf, isAlive, type ProcessIdentity, processState, signal, signalGroup } from '../lib/proc.ts'

export interface NodeProcess {
  /** `agent`, `balancer`, `fence`, or the name of a service. */
  readonly what: string
  readonly identity: ProcessIdentity
}

/** What stands on every node, in the order in which it is ended: what starts other things comes first. */
const COMPANY = ['agent', 'fence', 'balancer']

/**
 * The process that starts an agent writes down at once which it is, as the agent does later: it can be ended from its
 * first moment on.
 */
export function noteAgent(nodeFolder: string, agent: ProcessIdentity): void {
  writeFileAtomic(join(nodeFolder, 'agent.json'), JSON.stringify(agent))
}

/** The agent that runs on a node; undefined when none does, or when its file cannot be used. */
export function findAgent(nodeFolder: string): ProcessIdentity | undefined {
  return findIn(nodeFolder, 'agent.json', 'agent')[0]?.identity
}

/** The first identity file of a node that cannot be used, as an error that says why: something that it spoke of may run. */
export function unreadableIn(nodeFolder: string): UnderstudyError | undefined {
  const instances = join(nodeFolder, 'instances')
  try {
    const books = identityFilesIn(instances)
    const own = COMPANY.map((what) => join(nodeFolder, `${what}.json`))
    for (const path of [...own, ...retiredBalancers(nodeFolder), ...books]) readIdentityFile(path)
    return undefined
  } catch (error) {
    return error as UnderstudyError
  }
}

export function findBalancer(nodeFolder: string): ProcessIdentity | undefined {
  return findIn(nodeFolder, 'balancer.json', 'balancer')[0]?.identity
}

/**
 * Everything of a node that runs, the agent first. A group whose leader died counts as long as a process of ours lives
 * in it.
 */
export function findProcesses(nodeFolder: string): NodeProcess[] {
  const instances = join(nodeFolder, 'instances')
  return [
    ...COMPANY.flatMap((what) => findIn(nodeFolder, `${what}.json`, what)),
    ...retiredBalancers(nodeFolder).flatMap((path) => findIn(dirname(path), basename(path), 'balancer')),
    ...listFiles(instances).flatMap((file) => findInstance(instances, file)),
  ]
}

/** Signals exactly this process, and with it the group that it leads. */
export function signalProcess({ identity }: NodeProcess, name: NodeJS.Signals): void {
  const state = processState(identity.pid)
  if (state === undefined || state.startTime !== identity.startTime) {
    // Only findProcesses hands out such an identity, and only after it saw a process of ours in the group.
    signalGroup(identity.pid, name)
  } else if (state.group === identity.pid) {
    signalGroup(identity.pid, name)
  } else {
    signal(identity, name)
  }
}

/** Kills all of a node at once and until nothing is left of it; returns what was killed. */
export async function killProcesses(nodeFolder: string, rounds = 100): Promise<NodeProcess[]> {
  const killed = new Map<string, NodeProcess>()
  for (let round = 0; round < rounds; round++) {
    const found = findProcesses(nodeFolder)
    if (found.length === 0) break
    for (const one of found) {
      // A server that makes each of its children a session of its own is not ended with its group.
      const family = familyOf(one.identity)
      signalProcess(one, 'SIGKILL')
      for (const member of family) signal(member, 'SIGKILL')
      killed.set(`${one.identity.pid}-${one.identity.startTime}`, one)
    }
    await new Promise((resolve) => setTimeout(resolve, 10)) // a killed process takes a moment to be gone
  }
  return [...killed.values()]
}

/** Of balancers that have handed over and still have connections (balancer/hand-over.ts). */
function retiredBalancers(nodeFolder: string): string[] {
  return identityFilesIn(join(nodeFolder, 'balancers'))
}

function findIn(folder: string, file: string, what: string): NodeProcess[] {
  const identity = identityAt(join(folder, file))
  return identity && isAlive(identity) ? [{ what, identity }] : []
}

function identityAt(path: string): ProcessIdentity | undefined {
  try {
    return readIdentityFile(path)
  } catch {
    return undefined // `unreadableIn` says so to those who must know
  }
}

function identityFilesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter((name) => name.endsWith('.json'))
      .map((name) => join(folder, name))
  } catch (error) {
    if (isAbsent(error)) return []
    throw unreadable(folder, (error as Error).message, error)
  }
}

function findInstance(folder: string, file: string): NodeProcess[] {
  const what = file.replace(/\.json$/, '')
  const identity = file.endsWith('.json') ? identityAt(join(folder, file)) : undefined
  if (!identity) return []
  return isAlive(identity) || hasOrphans(identity, what) ? [{ what, identity }] : []
}

/**
 * Does anything that the service started still run in the group of its dead leader? The number of a group is not enough
 * to kill by: after a restart of the machine it can be that of any program. What we started carries its service's name
 * in its environment.
 */
function hasOrphans(leader: ProcessIdentity, service: string): boolean {
  const now = processState(leader.pid)
  if (now !== undefined && now.startTime !== leader.startTime && now.letter !== 'Z') return false // the pid is of another process now
  return listFiles('/proc').some((name) => {
    if (!/^\d+$/.test(name)) return false
    const state = processState(Number(name))
    return state?.group === leader.pid && state.letter !== 'Z' && state.letter !== 'X' && belongsTo(state.pid, service)
  })
}

function belongsTo(pid: number, service: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes(`UNDERSTUDY_SERVICE=${service}`)
  } catch {
    return false // it ended, or it is another user's: then it is not of our starting
  }
}

/** The names in a folder; none where there is no such folder. */
export function listFiles(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return [] // nothing was ever started there
  }
}
