/**
 * How one kind of service is observed and moved on one node. One driver object stands for one service on this node: at
 * most one instance. The agent asks `observe()` every turn and performs decided steps through the verbs.
 *
 * Every verb is idempotent: said twice it does it once, because an agent that dies half way says it again. Verbs reject
 * with UnderstudyError; the observation says what is true afterwards. A driver never acts by itself: it does not restart,
 * promote or stop anything that it was not told to.
 */
import type { InstanceReport, Role, Term } from '../core/model.ts'
import type { ProcessIdentity } from '../lib/proc.ts'
import type { Stop } from '../lib/stop.ts'

export interface Driver {
  /** What is here now: memory only, no waiting. */
  observe(): InstanceReport

  /**
   * Starts an instance as `role` and resolves as soon as it runs (not: is healthy). `beforeRun` is called with the
   * process's identity before the first line of the user's program runs; when it rejects, the program never runs. That
   * is how a single writer is put under its fence before it can write.
   */
  start(request: StartRequest): Promise<void>

  /** Makes a running standby the primary of `term`. Resolves when it has been told and did not object. */
  promote(term: Term): Promise<void>

  /** Asks it to end (after `settleMs`), kills it after `graceMs`; resolves when nothing of it is left. */
  stop(request: StopRequest): Promise<void>

  /**
   * Kills everything of it at once; resolves when nothing of it is left, and only then. `why`: what is said of its end
   * afterwards, for a kill that no decided step explains.
   */
  kill(why?: string): Promise<void>

  /** Finds what an earlier agent started here and takes it over. Called once, before anything else. */
  adopt(): Promise<void>

  /** Calls `changed` at once when something was seen first-hand: an exit, a hang, a change of health. */
  onChange(changed: () => void): Stop

  /** Lets go. Whatever runs goes on running. */
  close(): Promise<void>
}

/** One that keeps data on its node. */
export interface KeepingDriver extends Driver {
  /**
   * The config does not name its service any more, and nothing runs: what it kept on this node is set aside, never deleted.
   * Resolves to a sentence that says where it is now, or to undefined when there was nothing.
   */
  retire(): Promise<string | undefined>
}

export interface StopRequest {
  readonly settleMs: number
  readonly graceMs: number
  /**
   * It comes back at once: what clients have under way is let end first. Where that does not end in time it rejects with
   * UND_TIMED_OUT, and the instance goes on as before. Drivers of instances that finish what they serve when they are asked to end
   * need not heed it.
   */
  readonly drains?: true
}

export interface StartRequest {
  readonly role: Exclude<Role, 'none'>
  /** 0 for a role that leads nothing. */
  readonly term: Term
  beforeRun?(identity: ProcessIdentity): Promise<void>
}
