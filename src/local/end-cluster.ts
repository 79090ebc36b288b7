/**
 * Ending a cluster from outside, whether or not `up` still supervises it. Two processes must not end the same thing at
 * once, one killing what the other starts again: so a running `up` is first asked to let go (SIGUSR2), and then this
 * process does what Ctrl-C in its terminal would have done.
 */
import { connect } from '../client/index.ts'
import { type Clock, sleep, systemClock } from '../lib/clock.ts'
import { isAlive, type ProcessIdentity, signal } from '../lib/proc.ts'
import { apiAddresses, StateFolder } from './cluster-folder.ts'
import { keeperOf } from './marked-processes.ts'
import { refuseIfUnknown, type StopReport, type StopRequest, stopEverything, whatIsLeft } from './stop-cluster.ts'
import { claimHolder } from './up-claim.ts'

/** `up` lets go of its cluster when it gets this, and leaves everything running. */
export const LET_GO_SIGNAL = 'SIGUSR2'

const LET_GO_WITHIN_MS = 2_000

/** Undefined when nothing ran. Rejects with UND_STATE_UNREADABLE, when all that is known was stopped, if something may be left. */
export async function stopLocal(
  stateDir: string,
  options: Pick<StopRequest, 'withinMs' | 'onLeft'> & { readonly clock?: Clock } = {},
): Promise<StopReport | undefined> {
  const { clock = systemClock, ...patience } = options
  const state = new StateFolder(stateDir)
  const left = whatIsLeft(state)
  const holder = claimHolder(state.claimFile) ?? keeperOf(left)
  if (!holder && left.length === 0) {
    refuseIfUnknown(state)
    return undefined
  }
  if (holder) await letGo(holder, clock)
  const [spec, token] = [ifUsable(() => state.readCluster())?.spec, ifUsable(() => state.readToken())]
  const client = spec && token ? connect({ addresses: apiAddresses(spec), token }) : undefined
  const report = await stopEverything({ state, spec, client, clock, ...patience })
  refuseIfUnknown(state)
  return report
}

/** Without it agents cannot be told, and what runs is ended by its process numbers. */
function ifUsable<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined // what cannot be used keeps nothing from being stopped
  }
}

/** The `up` that looks after the agents of this folder, if there is one, lets go of them: they run on. */
export async function letGoOf(state: StateFolder, clock: Clock): Promise<void> {
  const holder = claimHolder(state.claimFile) ?? keeperOf(whatIsLeft(state))
  if (holder) await letGo(holder, clock)
}

async function letGo(holder: ProcessIdentity, clock: Clock): Promise<void> {
  signal(holder, LET_GO_SIGNAL)
  const deadline = clock.mono() + LET_GO_WITHIN_MS
  while (isAlive(holder) && clock.mono() < deadline) await sleep(clock, 20)
  signal(holder, 'SIGKILL') // it hangs; without it nothing that runs is lost
}
