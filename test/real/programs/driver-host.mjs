// Stands in for an agent: starts one instance and stays. Its arguments: the driver's parts as JSON, and what to do:
// `at-gate` never lets it through the gate, `run` does. What it has done is a line on stdout.
import { createProcessDriver } from '../../../dist/drivers/process/driver.js'
import { systemClock } from '../../../dist/lib/clock.js'

const [parts, what] = process.argv.slice(2)
const driver = createProcessDriver({ ...JSON.parse(parts), clock: systemClock, random: () => 0, loopLagMs: () => 0 })
await driver.adopt()
await driver.start({
  role: 'primary',
  term: 7,
  beforeRun: async (identity) => {
    console.log(JSON.stringify(identity))
    if (what === 'at-gate') await new Promise(() => setInterval(() => {}, 1000))
  },
})
console.log('running')
setInterval(() => {}, 1000)
