// Did two workers ever run at once? Reads the log that each worker signs every 10 ms and compares when each ran.
//
//   node check-worker-log.mjs [DATA_FOLDER]
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const file = join(process.argv[2] ?? process.env.SHOP_DATA ?? 'data', 'worker.log')
const runs = new Map()
for (const line of readFileSync(file, 'utf8').split('\n').slice(0, -1)) {
  const [monoMs, pid, node, term] = line.split(' ')
  const run = runs.get(`${pid} ${term}`) ?? { node, term: Number(term), from: Number(monoMs), until: 0 }
  run.until = Number(monoMs)
  runs.set(`${pid} ${term}`, run)
}
const inOrder = [...runs.values()].sort((a, b) => a.from - b.from)
const overlaps = inOrder
  .slice(1)
  .filter((run, index) => run.from <= inOrder[index].until || run.term <= inOrder[index].term)
console.log(`${inOrder.length} workers ran one after the other, ${overlaps.length} of them at the same time as another`)
process.exit(overlaps.length === 0 ? 0 : 1)
