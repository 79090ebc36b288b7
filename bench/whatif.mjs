/**
 * How long `whatif` takes for seven nodes, ten services and every pair of failures, beside one decision of the core on the same machine.
 *
 *   npm run bench:whatif [-- --runs 5]
 */
import { parseArgs } from 'node:util'
import { compileCluster } from '../dist/config/compile.js'
import { loadConfig } from '../dist/config/load-config.js'
import { WhatIf } from '../dist/whatif/whatif.js'

const { values } = parseArgs({ options: { runs: { type: 'string', default: '5' } } })
const file = new URL('../test/whatif/large.config.ts', import.meta.url).pathname
const { raw } = await loadConfig(file)
const { spec } = compileCluster(raw, { file, isLocal: () => true })
const took = []
for (let run = 0; run < Number(values.runs); run++) {
  const before = process.cpuUsage()
  new WhatIf({ cluster: spec }).fullReport()
  took.push(process.cpuUsage(before).user / 1_000)
}
took.sort((a, b) => a - b)
const at = (share) => took[Math.min(took.length - 1, Math.floor(took.length * share))]?.toFixed(0)
console.log(`processor time of ${took.length} runs: p50 ${at(0.5)} ms, max ${at(1)} ms`)
