// Is every acknowledged order in the database? Reads the ids of the orders from a file, one per line, and asks.
//
//   HOST=127.0.0.11 node check-orders.mjs FILE
import { readFileSync } from 'node:fs'
import { ask, close } from './database.mjs'

const acknowledged = readFileSync(process.argv[2], 'utf8').split('\n').filter(Boolean)
const { rows } = await ask('select id from orders')
const there = new Set(rows.map(({ id }) => id))
const missing = acknowledged.filter((id) => !there.has(id))
console.log(
  `${acknowledged.length} orders were acknowledged, ${acknowledged.length - missing.length} of them are there`,
)
for (const id of missing.slice(0, 5)) console.log(`missing: ${id}`)
await close()
process.exit(missing.length === 0 ? 0 : 1)
