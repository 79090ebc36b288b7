/**
 * The gate. What is started is not the program but a small shell that waits for one word on descriptor 3 and then becomes
 * the program by `exec`, under the same pid and with the same start time. So everything that makes a process safe to run
 * (its identity on disk, its fence armed) is in place before its first instruction:
 *
 *   spawn gate → read identity → write instance file → arm fence → open gate
 *
 * An agent that dies anywhere before the last step closes descriptor 3 by dying: the shell reads end-of-file and exits,
 * and the program never ran. There is no moment at which an unknown or unfenced program runs.
 *
 * Each instance leads a session and process group of its own, so that it outlives the agent and so that everything it
 * starts can be signalled with it. What leaves the group (setsid, daemons) leaves our sight: run programs in the
 * foreground.
 *
 * Signals go to the whole group, as systemd does it (KillMode=control-group): the leader may be a shell or npm, which
 * passes nothing on, and the program that should hear SIGTERM is its child.
 */
import type { ChildProcess } from 'node:child_process'
import type { Writable } from 'node:stream'
import { UnderstudyError } from '../../errors.ts'
import { identify, type ProcessIdentity } from '../../lib/proc.ts'
import { spawnAs } from '../as-account.ts'
import { LIMIT_REFUSED_CODE } from './ending.ts'
import { type LogPlace, type OpenLog, openLog } from './log-writer.ts'
import { folderProblem } from './not-runnable.ts'
import type { ProcessLimits } from './options.ts'
import type { RunAs } from './run-as.ts'

export interface GateRequest {
  readonly words: readonly string[]
  readonly cwd: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly runAs: RunAs | null
  readonly limits: ProcessLimits
  readonly log: LogPlace
}

export interface Gate {
  readonly identity: ProcessIdentity
  readonly child: ChildProcess
  /** Lets the program run. */
  open(): void
}

/** Starts the shell that waits. Rejects when not even that is possible (no such folder, no such user, no more pids). */
export async function spawnGate(request: GateRequest): Promise<Gate> {
  const problem = folderProblem(request.cwd)
  if (problem !== undefined) throw new UnderstudyError('UND_REFUSED', problem)
  const log = await openLog(request.log)
  try {
    const child = await spawnShell(request, log)
    const lock = child.stdio[3] as Writable
    // The shell may be killed while it waits; its exit says so, and a write to it failing says nothing more.
    lock.on('error', () => {})
    child.once('exit', log.close)
    child.unref()
    const identity = child.pid === undefined ? undefined : identify(child.pid)
    if (!identity) throw new UnderstudyError('UND_REFUSED', 'the process was gone before it could be identified')
    const open = () => {
      lock.end('go\n')
      log.begin()
    }
    return { identity, child, open }
  } catch (error) {
    log.close()
    throw error
  }
}

function spawnShell(request: GateRequest, log: OpenLog): Promise<ChildProcess> {
  return new Promise<ChildProcess>((resolve, reject) => {
    const shell = ['-c', gateScript(request.limits), 'understudy-gate', ...request.words]
    const child = spawnAs(request.runAs, '/bin/sh', shell, {
      cwd: request.cwd,
      env: { ...request.env },
      detached: true,
      stdio: ['ignore', log.file, log.file, 'pipe'],
    })
    child.once('error', reject)
    child.once('spawn', () => resolve(child))
  }).catch((cause: unknown) => {
    throw new UnderstudyError('UND_REFUSED', `cannot start a process in ${request.cwd}: ${String(cause)}`, { cause })
  })
}

function gateScript(limits: ProcessLimits): string {
  const set = (option: string, value: number | undefined) =>
    value === undefined ? [] : [`ulimit -${option} ${Math.floor(value)} || exit ${LIMIT_REFUSED_CODE}`]
  return [
    'IFS= read -r word <&3 && [ "$word" = go ] || exit 0',
    'exec 3<&-',
    ...set('n', limits.openFiles),
    ...set('v', limits.memoryBytes === undefined ? undefined : limits.memoryBytes / 1024),
    ...set('t', limits.cpuSeconds),
    'exec "$@"',
  ].join('\n')
}
