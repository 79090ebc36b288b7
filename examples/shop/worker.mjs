// The shop's nightly job, awake all day: it writes an invoice for each order. Two of it at once would write some twice,
// so Understudy runs one and keeps others ready to be started elsewhere.
//
// It also signs a log every 10 ms with the machine's monotonic clock, so that anybody can check afterwards that no two
// ever ran at once: `node check-worker-log.mjs`.
import { appendFileSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const { UNDERSTUDY_NODE = 'here', UNDERSTUDY_TERM = '0', SHOP_DATA = 'data' } = process.env
mkdirSync(SHOP_DATA, { recursive: true })
const file = (name) => join(SHOP_DATA, name)

function sign() {
  const monoMs = Number(process.hrtime.bigint()) / 1e6
  appendFileSync(file('worker.log'), `${monoMs.toFixed(3)} ${process.pid} ${UNDERSTUDY_NODE} ${UNDERSTUDY_TERM}\n`)
}

function writeInvoices() {
  if (!existsSync(file('orders.ndjson'))) return
  const lines = readFileSync(file('orders.ndjson'), 'utf8').split('\n').slice(0, -1)
  const done = existsSync(file('invoiced')) ? Number(readFileSync(file('invoiced'), 'utf8')) : 0
  for (const line of lines.slice(done)) {
    appendFileSync(
      file('invoices.ndjson'),
      `${JSON.stringify({ order: JSON.parse(line).id, term: Number(UNDERSTUDY_TERM) })}\n`,
    )
  }
  // Where it got to: written beside and renamed, so that a kill leaves the old number or the new one.
  writeFileSync(file('invoiced.new'), String(lines.length))
  renameSync(file('invoiced.new'), file('invoiced'))
}

sign()
setInterval(sign, 10)
setInterval(writeInvoices, 250)
process.on('SIGTERM', () => {
  writeInvoices()
  process.exit(0)
})
