/** `node dist/sim/main.js --seeds N [--from S] | --seed S [--trace]`: a thin entry until the CLI has one of its own. */
import { parseArgs } from 'node:util'
import { runSeed } from './run.ts'

const { values } = parseArgs({
  options: {
    seeds: { type: 'string' },
    from: { type: 'string' },
    seed: { type: 'string' },
    trace: { type: 'boolean' },
  },
})
const first = Number(values.seed ?? values.from ?? 1)
const count = values.seed ? 1 : Number(values.seeds ?? 100)
const start = performance.now()
const cpu = process.cpuUsage()
let [failed, virtualMs, failovers] = [0, 0, 0]
for (let seed = first; seed < first + count; seed += 1) {
  const verdict = await runSeed({
    seed,
    ...(values.trace && {
      onHappened: ({ atMs, node, what }) =>
        console.log(
          `${atMs.toFixed(1).padStart(9)}  ${node.padEnd(5)}  ${typeof what === 'string' ? what : `${what.kind} ${what.rule} ${what.service ?? ''}: ${what.why}`}`,
        ),
    }),
  })
  virtualMs += verdict.virtualMs
  failovers += verdict.failovers
  if (verdict.broken.length > 0) {
    failed += 1
    console.log(`seed ${seed}: ${verdict.broken[0]}`)
  }
}
const ms = performance.now() - start
const { user, system } = process.cpuUsage(cpu)
const cpuMs = (user + system) / 1_000
console.log(
  `${count} seeds, ${failed} broken, ${failovers} failovers, ${(ms / count).toFixed(1)} ms (${(cpuMs / count).toFixed(1)} ms of processor) for each, ${(virtualMs / ms).toFixed(0)} times as fast as time`,
)
