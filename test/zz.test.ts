import { test } from 'vitest'
import { compileCluster } from '../src/config/compile.ts'
import { command, http } from '../src/config/define.ts'
import { ASSUMED } from '../src/whatif/assumptions.ts'
import { everyFailure, together } from '../src/whatif/failure.ts'
import { Inquiry } from '../src/whatif/inquiry.ts'
import { votersFor } from '../src/whatif/setting.ts'

test('try', () => {
  const nodes = Object.fromEntries(['a', 'b', 'c'].map((n) => [n, { zone: n === 'c' ? 'south' : 'north' }]))
  const { spec: cluster } = compileCluster({
    name: 'x',
    nodes,
    services: {
      web: http({ run: 'x', instances: 2, listen: 8080, healthy: '/h' }),
      worker: command({ run: 'y', redundancy: 'active-passive', instances: 2, needs: ['web'] }),
    },
  })
  const inquiry = new Inquiry({ cluster, voters: votersFor(cluster), assumed: ASSUMED, primaries: {} })
  console.log(inquiry.standing(), inquiry.primaryOf('worker'))
  for (const failure of everyFailure(cluster, inquiry.standing(), null)) {
    for (const s of ['web', 'worker']) {
      const { done, ...o } = inquiry.outcome(s, failure.effect)
      console.log(
        failure.label,
        JSON.stringify(o),
        done.map((d) => `${d.atMs} ${d.node} ${d.rule} ${d.step.kind}`).join('; '),
      )
    }
  }
})
test('speed', () => {
  const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g']
  const nodes = Object.fromEntries(names.map((n) => [n, {}]))
  const services = Object.fromEntries(
    names
      .concat(['h', 'i', 'j'])
      .map((n, i) => [
        `s${n}`,
        i % 2
          ? http({ run: 'x', instances: 3, listen: 8080 + i, healthy: '/h' })
          : command({ run: 'y', redundancy: 'active-passive', instances: 3 }),
      ]),
  )
  const { spec: cluster } = compileCluster({ name: 'x', nodes, services })
  const t0 = performance.now()
  const inquiry = new Inquiry({ cluster, voters: votersFor(cluster), assumed: ASSUMED, primaries: {} })
  const all = everyFailure(cluster, inquiry.standing(), null)
  console.log(all.length, performance.now() - t0)
  for (const f of all) for (const s of cluster.services) inquiry.outcome(s.name, f.effect)
  console.log('singles', performance.now() - t0)
  let n = 0
  for (const [i, f] of all.entries())
    for (const g of all.slice(i + 1)) {
      n++
      const e = together([f, g])
      for (const s of cluster.services) inquiry.outcome(s.name, e)
    }
  console.log('pairs', n, performance.now() - t0)
})
