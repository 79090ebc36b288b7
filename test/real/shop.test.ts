/**
 * The example: an order that is sent twice is one order, and its own check finds an order that is missing.
 *
 * Exercises: api, balancer, client, drivers/postgres, local, stores. Engines: postgresql.
 */
import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { command, http, postgres } from '../../src/config/define.ts'
import { startCluster, type TestCluster } from './cluster.ts'

const SHOP = join(import.meta.dirname, '../../examples/shop')
let cluster: TestCluster | undefined

afterEach(async () => {
  await cluster?.stop()
  cluster = undefined
})

test('the shop: orders are taken once, and an order that is missing is found', async () => {
  cluster = await startCluster((data) => ({
    db: postgres({
      instances: 3,
      listen: 5432,
      database: { name: 'shop', owner: 'shop', password: 'a cup of tea' },
      settings: { shared_buffers: '16MB', max_connections: 60 },
    }),
    web: http({ run: 'node web.mjs', cwd: SHOP, instances: 2, listen: 8080, healthy: '/healthz', needs: ['db'] }),
    worker: command({
      run: 'node worker.mjs',
      cwd: SHOP,
      redundancy: 'active-passive',
      env: { SHOP_DATA: data },
      needs: ['db'],
    }),
  }))
  const { data, spec } = cluster
  await cluster.until('all is well', ({ services }) => services.every(({ healthy }) => healthy), 60_000)
  const url = `${cluster.balancer('a')}/orders`
  const order = (id: string) => fetch(url, { method: 'POST', headers: { 'Idempotency-Key': id } })
  const count = async () => ((await (await fetch(url)).json()) as { orders: number }).orders

  const id = randomUUID()
  expect((await order(id)).status).toBe(201)
  const again = await order(id)
  expect([again.status, ((await again.json()) as { id: string }).id]).toEqual([201, id])
  expect((await order('1; drop table orders')).status).toBe(400)
  expect(await count()).toBe(1)

  const host = spec.nodes[1]?.address ?? ''
  const file = join(data, 'acknowledged')
  writeFileSync(file, `${id}\n`)
  expect(await check(file, host)).toEqual({ code: 0, says: '1 orders were acknowledged, 1 of them are there\n' })
  const missing = randomUUID()
  writeFileSync(file, `${id}\n${missing}\n`)
  expect(await check(file, host)).toMatchObject({ code: 1, says: expect.stringContaining(`missing: ${missing}`) })
}, 120_000)

function check(file: string, host: string): Promise<{ code: number; says: string }> {
  const options = { env: { ...process.env, HOST: host } }
  return new Promise((resolve) => {
    execFile(process.execPath, [join(SHOP, 'check-orders.mjs'), file], options, (error, says) => {
      resolve({ code: error ? Number(error.code) : 0, says })
    })
  })
}
