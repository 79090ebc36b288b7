/**
 * How long `whatif` takes for seven nodes, ten services and every pair of failures. With `--simulator` also what the same single
 * failures cost in the simulator, and how far its pauses lie apart (docs/decisions/0007-whatif-beside-the-simulator.md).
 *
 *   npm run bench:whatif [-- --runs 5] [--simulator]
 */
import { parseArgs } from 'node:util'
import { compileCluster } from '../dist/config/compile.js'
import { loadConfig } from '../dist/config/load-config.js'
import { serves } from '../dist/sim/served.js'
import { unsettled } from '../dist/sim/settled.js'
import { World } from '../dist/sim/sim-world.js'
import { WhatIf } from '../dist/whatif/whatif.js'

const options = { runs: { type: 'string', default: '5' }, simulator: { type: 'boolean' } }
const { values } = parseArgs({ options })
const spec = await specOf('../test/whatif/large.config.ts')
const took = []
for (let run = 0; run < Number(values.runs); run++) {
  const before = process.cpuUsage()
  new WhatIf({ cluster: spec }).fullReport()
  took.push(process.cpuUsage(before).user / 1_000)
}
took.sort((a, b) => a - b)
const at = (share) => took[Math.min(took.length - 1, Math.floor(took.length * share))]?.toFixed(0)
console.log(`processor time of ${took.length} runs: p50 ${at(0.5)} ms, max ${at(1)} ms`)
if (values.simulator) {
  await costOfSingles('7 nodes, 10 services', spec)
  const shop = await specOf('../examples/shop/understudy.config.ts')
  await costOfSingles('examples/shop', shop)
  await spreadOfPauses(shop, 100)
}

async function specOf(path) {
  const file = new URL(path, import.meta.url).pathname
  const { raw } = await loadConfig(file)
  return compileCluster(raw, { file, isLocal: () => true }).spec
}

/** Processor time in milliseconds. */
async function costOf(act) {
  const before = process.cpuUsage()
  await act()
  return process.cpuUsage(before).user / 1_000
}

async function costOfSingles(name, cluster) {
  const { failures } = new WhatIf({ cluster })
  const singles = await costOf(() => new WhatIf({ cluster }).report())
  const all = await costOf(() => new WhatIf({ cluster }).fullReport())
  const simulated = await costOf(async () => {
    for (const failure of failures) await (await failed(cluster, failure, 7)).clock.advance(10_000)
  })
  const pairs = (failures.length * (failures.length - 1)) / 2
  console.log(
    `${name}: ${failures.length} single failures ${singles.toFixed(0)} ms, with ${pairs} pairs and availability ` +
      `${all.toFixed(0)} ms; in the simulator singles ${simulated.toFixed(0)} ms, ${(simulated / failures.length).toFixed(0)} ms each`,
  )
}

/** A world in which it has just happened to a cluster that was calm. */
async function failed(cluster, { kind, effect }, seed) {
  const world = new World({ cluster, seed })
  world.start()
  await world.clock.runUntil(20_000, () => world.nowMs > 3_000 && unsettled(world).length === 0)
  if (kind === 'store') world.store.condition = 'away'
  for (const node of effect.nodes) world.killNode(node)
  for (const cut of effect.cuts) world.cut(...cut.split(' '))
  for (const instance of effect.instances) {
    const [node, service] = instance.split(' ')
    const process = world.processOf(service, node)
    if (process) world.node(node).processes.kill(process)
  }
  return world
}

/** How long each service was away after the loss of the node that its primary was on: one run says little about the longest. */
async function spreadOfPauses(cluster, seeds) {
  for (const { name, redundancy } of cluster.services) {
    if (redundancy !== 'active-passive') continue
    const pauses = []
    for (let seed = 1; seed <= seeds; seed++) {
      const calm = await failed(cluster, { effect: { nodes: [], cuts: [], instances: [] } }, seed)
      const { node } = calm.primaryOf(name)
      calm.killNode(node)
      const from = calm.nowMs
      await calm.clock.runUntil(from + 20_000, () => serves(calm, name, from) !== undefined)
      pauses.push(calm.nowMs - from)
    }
    pauses.sort((a, b) => a - b)
    const [least, median, most] = [0, 0.5, 1].map((share) => pauses[Math.min(seeds - 1, Math.floor(seeds * share))])
    console.log(
      `${name} after the loss of its node, ${seeds} seeds: ${[least, median, most].map(Math.round).join(', ')} ms`,
    )
  }
}
