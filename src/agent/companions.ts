/** The two processes that stand beside every agent: the balancer and the fence. */
import { join } from 'node:path'
import { systemClock as clock } from '../lib/clock.ts'
import { socketPath } from '../lib/socket-path.ts'
import { Companion } from './companion.ts'

/** The fence must be small and stay so: it holds a handful of deadlines. */
const FENCE_MEMORY_MIB = 32

export class Companions {
  readonly fence: Companion
  readonly balancer: Companion
  readonly fenceSocket: string
  readonly balancerSocket: string
  /** The named pipe of the last guard of single writers (last-guard.ts). */
  readonly guardPipe: string

  constructor(nodeDir: string, tell: (why: string) => void) {
    this.fenceSocket = socketPath(nodeDir, 'fence.sock')
    this.balancerSocket = socketPath(nodeDir, 'balancer.sock')
    this.guardPipe = join(nodeDir, 'guard.pipe')
    const companion = (
      name: string,
      script: string,
      socket: string,
      nodeArgs: readonly string[],
      more: readonly string[],
    ) =>
      new Companion({
        name,
        script: join(import.meta.dirname, script),
        args: ['--socket', socket, '--saved', join(nodeDir, `${name}-saved.json`), ...more],
        nodeArgs,
        identityFile: join(nodeDir, `${name}.json`),
        logFile: join(nodeDir, `${name}.log`),
        clock,
        onStart: tell,
      })
    const small = [`--max-old-space-size=${FENCE_MEMORY_MIB}`]
    this.fence = companion('fence', 'fence-process.js', this.fenceSocket, small, [
      '--memory',
      '--guard',
      this.guardPipe,
    ])
    this.balancer = companion('balancer', '../balancer/main.js', this.balancerSocket, [], [])
  }

  /** Of the three processes of this node. */
  get pids(): { readonly agent: number; readonly balancer: number | null; readonly fence: number | null } {
    return { agent: process.pid, balancer: this.balancer.pid, fence: this.fence.pid }
  }

  start(): void {
    this.fence.start()
    this.balancer.start()
  }

  /** Watches them no more; they go on. */
  close(): void {
    this.fence.close()
    this.balancer.close()
  }

  /** Ends both for good. */
  end(): void {
    this.fence.end()
    this.balancer.end()
  }
}
