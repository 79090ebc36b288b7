// The shop's worker: it writes an invoice for each order. Two workers at once would send some invoices twice,
// so Understudy runs one and keeps others ready to be started on other nodes.
//
// It also signs a log every 10 ms with the machine's monotonic clock, so that a check afterwards can show that no two
// ever ran at once: `node check-worker-log.mjs`.
import { appendFileSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { ask, prepare } from './database.mjs'

const { UNDERSTUDY_NODE = 'here', UNDERSTUDY_TERM = '0', SHOP_DATA = 'data' } = process.env
mkdirSync(SHOP_DATA, { recursive: true })

function sign() {
  const monoMs = Number(process.hrtime.bigint()) / 1e6
  const line = `${monoMs.toFixed(3)} ${process.pid} ${UNDERSTUDY_NODE} ${UNDERSTUDY_TERM}\n`
  appendFileSync(join(SHOP_DATA, 'worker.log'), line)
}

/**
 * The term is the fencing token: it only grows, and the desk belongs to the highest one that ever sat there. A worker that
 * was thought to be dead, and wakes up, finds the desk taken and writes nothing.
 */
function writeInvoices() {
  return ask(
    `with mine as (update desk set term = $1 where term <= $1 returning term)
     insert into invoices (order_id, term)
     select orders.id, mine.term from orders, mine
     where not exists (select from invoices where order_id = orders.id)
     on conflict do nothing`,
    [UNDERSTUDY_TERM],
  )
}

sign()
setInterval(sign, 10)

let working = Promise.resolve()
async function work() {
  working = writeInvoices()
  await working.catch((error) => console.error(`no invoices: ${error.message}`)) // the next turn writes them
  setTimeout(work, 250)
}
prepare().then(work)

process.on('SIGTERM', () => {
  const end = () => process.exit(0)
  setTimeout(end, 300) // the invoices that are not written by then are the successor's
  working.then(end, end)
})
