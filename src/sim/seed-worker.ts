/** One thread of many-seeds.ts: gets portions of seeds, gives summaries. */
import { parentPort, workerData } from 'node:worker_threads'
import type { ClusterSpec } from '../core/model.ts'
import { type Portion, runPortion } from './many-seeds.ts'

const { cluster } = workerData as { readonly cluster?: ClusterSpec }

// Refusals and timeouts occur by the dozen in each seed, and their stacks are not read; `--seed` alone, which runs in
// no thread, still tells.
Error.stackTraceLimit = 0

parentPort?.on('message', (portion: Portion) => {
  const fail = (error: unknown) =>
    setImmediate(() => {
      throw error // it ends this worker, and the run hears of that
    })
  runPortion(portion, cluster).then((sum) => parentPort?.postMessage(sum), fail)
})
