/** One thread of many.ts: gets portions of seeds, gives summaries. */
import { parentPort } from 'node:worker_threads'
import { type Portion, runPortion } from './many.ts'

parentPort?.on('message', (portion: Portion) => {
  void runPortion(portion).then((sum) => parentPort?.postMessage(sum))
})
