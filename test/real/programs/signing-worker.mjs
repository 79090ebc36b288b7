// A single writer that signs a log every 2 ms with the machine's monotonic clock: MONO_MS PID NODE TERM.
import { appendFileSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'

const { DATA, UNDERSTUDY_NODE, UNDERSTUDY_TERM } = process.env
mkdirSync(DATA, { recursive: true })
const sign = () => {
  const mono = Number(process.hrtime.bigint()) / 1e6
  appendFileSync(join(DATA, 'worker.log'), `${mono.toFixed(3)} ${process.pid} ${UNDERSTUDY_NODE} ${UNDERSTUDY_TERM}\n`)
}
sign()
setInterval(sign, 2)
process.on('SIGTERM', () => process.exit(0))
