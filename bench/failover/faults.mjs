/** What is done to the primary, to either system alike, and how its victim comes back. */
import { setTimeout as pause } from 'node:timers/promises'
import { identify, signal } from '../../dist/lib/proc.js'
import { signalAll } from './machine.mjs'

/** Each does its harm and returns what brings the victim back, or null when nothing has to. */
export const FAULTS = {
  kill: {
    means: "the primary's postmaster is killed with SIGKILL",
    async strike(_, { pid }) {
      signal(identify(pid), 'SIGKILL')
      return null
    },
  },
  node: {
    means: "every process of the primary's node is killed with SIGKILL at once",
    async strike(system, { node }) {
      await system.killNode(node)
      return async () => system.startNode(node)
    },
  },
  freeze: {
    means: "every process of the primary's node is stopped with SIGSTOP, and goes on later",
    async strike(system, { node }, { freezeMs, writer, run }) {
      const frozen = await system.freeze(node)
      // Sent while its server cannot read: what does it answer when it wakes up?
      await writer.ask('haunt', { id: -run })
      const thawed = pause(freezeMs).then(() => signalAll(frozen, 'SIGCONT'))
      return () => thawed
    },
  },
  switchover: {
    means: 'the primary hands over on purpose',
    async strike(system, primary) {
      await system.switchover(primary)
      return null
    },
  },
}
