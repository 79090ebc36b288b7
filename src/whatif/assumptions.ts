/**
 * What a config cannot say and an answer needs. Each number is said in every report, and each can be replaced; receipts of
 * a running cluster replace whole recovery times (measured.ts).
 */
export interface Assumptions {
  /** From the start of a program until it is healthy. */
  readonly startMs: number
  /** From telling a warm standby that it leads until it does. */
  readonly promoteMs: number
  /** From the end of a process until its agent has seen it. */
  readonly noticeMs: number
  /** From SIGTERM to the end of a program that does as it is told. */
  readonly stopMs: number
  /** From the end of a balancer until its agent has started another that listens. */
  readonly balancerBackMs: number
}

export const ASSUMED: Assumptions = {
  startMs: 1_000, // judgement: a small server in a scripting language; large ones take longer, and say so with --start
  promoteMs: 100, // judgement: a signal or a local request, and a handler that does little
  noticeMs: 20, // measured: a child's exit is seen after about 15 ms
  stopMs: 200, // judgement: a program without work at hand
  balancerBackMs: 500, // derived: seen within 50 ms, started again after 100 ms, a Node process listens some 300 ms later
}
