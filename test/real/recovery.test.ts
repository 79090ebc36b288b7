/**
 * More than one thing is gone: the supervisor of the cluster, every process of it, or the store. Through the
 * built program: `up` again takes over what lives and brings back the rest, and `status` says what is wrong meanwhile.
 *
 * Exercises: api, balancer, cli, client, drivers/process, local, stores. Engines: none.
 */
import { execFileSync } from 'node:child_process'
import { copyFileSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'libsql'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { EventRecord, Status } from '../../src/client/index.ts'
import { systemClock as clock, sleep } from '../../src/lib/clock.ts'
import { failed, startLoad } from '../../src/lib/steady-load.ts'
import { killEverything, whatIsLeft } from '../../src/local/stop-cluster.ts'
import { claimHolder } from '../../src/local/up-claim.ts'
import { allHealthy, instancesIn, Operator, serviceIn } from './operator.ts'

const WEB = `import { createServer } from 'node:http'
  createServer((_, response) => response.end('ok')).listen(process.env.PORT, process.env.HOST)`

let operator: Operator

beforeEach(async () => {
  operator = new Operator()
  operator.write('web.mjs', WEB)
  operator.write('worker.mjs', 'setInterval(() => {}, 1000)')
  operator.config(`
    web: http({ run: 'node web.mjs', instances: 3, listen: 8080 }),
    worker: command({ run: 'node worker.mjs', redundancy: 'active-passive', instances: 2 }),`)
  expect(await operator.run('up', '--detach')).toMatchObject({ code: 0 })
})
afterEach(() => operator.close())

function load() {
  const urls = ['a', 'b', 'c'].map((node) => `http://${operator.address(node)}:8080/`)
  return startLoad({ urls, method: 'GET', perSecond: 50 })
}

/** By other processes: with the first file that this one closes its lock would be gone. */
function whileNobodyWrites(store: string, act: (copy: (from: string, to: string) => void) => void): void {
  const lock = new Database(store, { timeout: 10_000 })
  lock.exec('begin exclusive')
  act((from, to) => execFileSync('cp', [from, to]))
  lock.close()
}

function killUp(): void {
  const holder = claimHolder(operator.state.claimFile)
  if (!holder) throw new Error('no process runs up')
  process.kill(holder.pid, 'SIGKILL')
}

function killAll(what: string): void {
  for (const one of whatIsLeft(operator.state)) if (one.what === what) process.kill(one.identity.pid, 'SIGKILL')
}

function pidsOf(status: Status): (number | null)[] {
  return status.services.flatMap(({ instances }) => instances.map(({ pid }) => pid))
}

describe('kill -9', () => {
  it('of up and every agent: nothing that runs dies, no request fails; up adopts all of it in the same term', async () => {
    const before = await operator.until('all is well', allHealthy)
    const customers = load()
    killUp()
    killAll('agent')
    expect(await operator.run('status')).toMatchObject({ code: 7, err: expect.stringContaining('understudy up') })
    expect(await operator.run('up', '--detach')).toMatchObject({ code: 0 })
    const after = await operator.until('all is well', allHealthy)
    const shots = await customers.stop()
    expect(shots.length).toBeGreaterThan(20)
    expect(shots.filter(failed)).toEqual([])
    // The worker's lease is short: if no agent was back in time its fence has ended it, and that is right too.
    const web = ({ services }: Status) => pidsOf({ ...after, services: services.filter(({ name }) => name === 'web') })
    expect(web(after)).toEqual(web(before))
    expect(after.nodes.map(({ balancerPid }) => balancerPid)).toEqual(
      before.nodes.map(({ balancerPid }) => balancerPid),
    )
  })

  it('of everything at once: up brings it all back, with a higher term', async () => {
    const before = await operator.until('all is well', allHealthy)
    killUp()
    await killEverything(operator.state, clock)
    expect(await operator.run('status')).toMatchObject({ code: 7 })
    expect(await operator.run('up', '--detach')).toMatchObject({ code: 0 })
    const after = await operator.until('all is well', allHealthy)
    expect(instancesIn(after, 'web')).toHaveLength(3)
    expect(serviceIn(after, 'worker').term).toBeGreaterThan(serviceIn(before, 'worker').term)
  })

  it('of the agents: down ends the rest in order and says what it did', async () => {
    await operator.until('all is well', allHealthy)
    killUp()
    killAll('agent')
    const down = await operator.run('down')
    expect(down).toMatchObject({
      code: 0,
      out: expect.stringMatching(/could not be told to stop: no agent was running/),
    })
    expect(whatIsLeft(operator.state)).toEqual([])
  })
})

describe('the store is damaged while everything runs', () => {
  it('is said, stops the worker in time and leaves web alone; the file is not touched; it recovers by itself', async () => {
    const before = await operator.until('all is well', allHealthy)
    const store = operator.state.storeFile
    const backup = join(operator.folder, 'backup.db')
    const customers = load()
    const garbage = Buffer.alloc(statSync(store).size, 'no store at all ')
    whileNobodyWrites(store, (copy) => {
      copy(store, backup)
      writeFileSync(`${backup}.garbage`, garbage)
      copy(`${backup}.garbage`, store)
    })

    const hurt = await operator.until('the worker has stopped', (status) =>
      instancesIn(status, 'worker').every(({ state }) => state === 'stopped'),
    )
    expect(hurt.store).toMatchObject({ writable: false, why: expect.stringMatching(/store\.db is not a usable store/) })
    expect(serviceIn(hurt, 'web')).toMatchObject({ healthy: true, why: '3 of 3 instances serve: a, b, c' })
    const { healthy, why, rule } = serviceIn(hurt, 'worker')
    expect({ healthy, why }).toEqual({ healthy: false, why: expect.stringMatching(/store/) })
    expect(rule).toBeTruthy()
    const events = await operator.json<EventRecord[]>('events')
    expect(events.map((event) => `${event.rule}: ${event.why}`)).toContainEqual(
      expect.stringMatching(/^lease-ending: .* worker stops here before another node may start it$/),
    )
    expect((await operator.run('status')).out).toContain('store.db is not a usable store')
    for (const args of [
      ['switchover', 'worker'],
      ['drain', 'a'],
    ]) {
      expect(await operator.run(...args), args.join(' ')).toMatchObject({
        code: 4,
        err: expect.stringMatching(/Copy a backup over it.*UND_STORE_DAMAGED/),
      })
    }
    killAll('agent') // an agent that starts must not make a new store of it either
    await operator.until(
      'new agents say it',
      ({ nodes, store }) => nodes.every(({ alive }) => alive) && !store.writable,
    )
    expect(readFileSync(store).equals(garbage)).toBe(true)

    copyFileSync(backup, store)
    const after = await operator.until('it has recovered by itself', allHealthy)
    expect(serviceIn(after, 'worker').term).toBeGreaterThan(serviceIn(before, 'worker').term)
    expect(instancesIn(after, 'web').map(({ pid }) => pid)).toEqual(instancesIn(before, 'web').map(({ pid }) => pid))
    expect((await customers.stop()).filter(failed)).toEqual([])
  })

  it('down ends everything and says why it could not be told', async () => {
    await operator.until('all is well', allHealthy)
    writeFileSync(operator.state.storeFile, 'gone')
    await sleep(clock, 300)
    const down = await operator.run('down')
    expect(down).toMatchObject({
      code: 0,
      out: expect.stringMatching(/could not be told to stop: .*not a usable store/),
    })
    expect(whatIsLeft(operator.state)).toEqual([])
  })
})
