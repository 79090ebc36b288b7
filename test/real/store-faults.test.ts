/**
 * What a process that dies or stops in the middle of a change does to the others, and what a bad disk does to all.
 *
 * Exercises: stores. Engines: none.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../src/lib/clock.ts'
import { processState } from '../../src/lib/proc.ts'
import { Told } from '../../src/stores/contract/store-world.ts'
import { openEmbeddedStore } from '../../src/stores/embedded/open.ts'
import type { Store } from '../../src/stores/store.ts'

const scripts = join(import.meta.dirname, 'store')
let folder: string
let path: string
const children = new Set<ChildProcess>()
const stores = new Set<Store>()

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'understudy-store-'))
  path = join(folder, 'store.db')
})
afterEach(async () => {
  for (const child of children) child.kill('SIGKILL')
  children.clear()
  for (const store of stores) await store.close()
  stores.clear()
  rmSync(folder, { recursive: true, force: true })
})

async function open(waitMs = 300): Promise<Store> {
  const store = await openEmbeddedStore({ path, clock: systemClock, random: Math.random, waitMs })
  stores.add(store)
  return store
}

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = systemClock.mono() + 10_000
  while (!(await holds())) {
    if (systemClock.mono() > deadline) throw new Error(`did not come about: ${what}`)
    await pause(5)
  }
}

/** Another process that begins a change and stops or dies in it. */
async function dieInTransaction(how: 'stop' | 'kill'): Promise<ChildProcess> {
  const child = spawn(process.execPath, [join(scripts, 'die-in-transaction.mjs'), path, how], { stdio: 'inherit' })
  children.add(child)
  await until('the end of its first half', () => {
    if (child.exitCode !== null) throw new Error('it ended without dying')
    return how === 'stop' ? processState(child.pid as number)?.letter === 'T' : child.signalCode === 'SIGKILL'
  })
  return child
}

async function value(store: Store, key: string): Promise<unknown> {
  return (await store.read(key)).entries.get(key)?.value
}

describe('a process that is killed in the middle of a change', () => {
  it('leaves a half-written file, and the next process undoes it', async () => {
    const store = await open()
    await store.swap([], [{ key: 'kept', value: 'whole' }])
    const sizeBefore = readFileSync(path).length
    await dieInTransaction('kill')
    expect(readFileSync(path).length, 'the half is in the file').toBeGreaterThan(sizeBefore + 100_000)
    expect(readFileSync(`${path}-journal`)[0], 'the journal is in use').not.toBe(0)
    mkdirSync(join(folder, 'copy'))
    for (const name of ['store.db', 'store.db-journal']) cpSync(join(folder, name), join(folder, 'copy', name))

    const { entries, revision } = await store.read('')
    expect([[...entries.keys()], entries.get('kept')?.value, revision]).toEqual([['kept'], 'whole', 1])
    expect(await store.swap([], [{ key: 'kept', value: 'on' }])).toBe('done')

    path = join(folder, 'copy/store.db') // the same file, met by a process that has to open it first
    const fresh = await open()
    expect(await value(fresh, 'kept')).toBe('whole')
    expect((await fresh.read('')).entries.size).toBe(1)
  })
})

describe('a process that is stopped in the middle of a change', () => {
  for (const end of ['SIGCONT', 'SIGKILL'] as const) {
    it(`keeps the others out for a bounded time and without blocking them, until ${end}`, async () => {
      const waitMs = 300
      const store = await open(waitMs)
      await store.swap([], [{ key: 'kept', value: 'whole' }])
      const told = new Told()
      store.watch('', told)
      await until('the first call', () => told.value('kept') === 'whole')
      const child = await dieInTransaction('stop')

      const beside = await watchBeside()
      const worst = watchEventLoop()
      const startedAt = systemClock.mono()
      const asked = [store.read(''), store.swap([], [{ key: 'kept', value: 'on' }]), store.acquire(1_000), open(waitMs)]
      for (const { reason } of (await Promise.allSettled(asked)) as PromiseRejectedResult[]) {
        expect(reason).toMatchObject({ code: 'UND_STORE_AWAY' })
        expect(reason.message).toContain(`process ${child.pid} holds its lock, which is stopped by a signal`)
      }
      const tookMs = systemClock.mono() - startedAt
      expect(tookMs).toBeGreaterThanOrEqual(waitMs)
      expect(tookMs, 'bounded: some times the limit on a busy machine').toBeLessThan(waitMs * 10)
      await until('the watcher is told', () => told.troubles.length === 1)
      const [worstMs, besideMs] = [worst(), await beside()]
      // A machine that runs no process keeps the thread beside waiting as well.
      expect(worstMs, 'no call stands in the way of the event loop').toBeLessThan(waitMs + besideMs)

      child.kill(end)
      await until('the store is back', () => store.swap([], [{ key: 'after', value: 1 }]).then(Boolean, () => false))
      await until('the watcher is told again', () => told.value('after') === 1)
      expect(await value(store, 'kept')).toBe(end === 'SIGCONT' ? 'half' : 'whole')
    })
  }
})

/** Returns how to ask for the longest time that this process's event loop was blocked since. */
function watchEventLoop(): () => number {
  let last = systemClock.mono()
  let worst = 0
  const timer = setInterval(() => {
    const now = systemClock.mono()
    worst = Math.max(worst, now - last)
    last = now
  }, 1)
  return () => {
    clearInterval(timer)
    return worst
  }
}

/** The same for a thread that does nothing else: the control. */
async function watchBeside(): Promise<() => Promise<number>> {
  const script = `
    const { parentPort } = require('node:worker_threads')
    let [last, worst] = [performance.now(), 0]
    setInterval(() => {
      const now = performance.now()
      worst = Math.max(worst, now - last)
      last = now
    }, 1)
    parentPort.on('message', () => parentPort.postMessage(worst))
    parentPort.postMessage('begun')`
  const thread = new Worker(script, { eval: true })
  await once(thread, 'message')
  return async () => {
    thread.postMessage('how long?')
    const [worst] = await once(thread, 'message')
    await thread.terminate()
    return worst as number
  }
}

/** A disk of its own needs a mount namespace; without the right to make one these tests are left out and say so. */
const canMount =
  spawnSync('unshare', ['--mount', '--map-root-user', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']).status === 0
const why = canMount ? '' : ' (left out: needs `unshare --mount --map-root-user`)'

describe.skipIf(!canMount)(`a disk of 256 KiB${why}`, () => {
  let happened: Record<string, unknown>
  it('fills up, gets room, turns read-only and back', () => {
    const argv = [
      '--mount',
      '--map-root-user',
      process.execPath,
      '--expose-gc',
      join(scripts, 'small-disk.mjs'),
      folder,
    ]
    happened = JSON.parse(execFileSync('unshare', argv, { encoding: 'utf8', timeout: 60_000 }))
  })
  it('full: growing is refused as UND_STORE_FULL and changes nothing, reading and small changes go on', () => {
    for (const step of ['openNewOnFull', 'growOnFull', 'growAgainOnFull']) {
      expect(happened[step], step).toMatchObject({ code: 'UND_STORE_FULL' })
    }
    expect(happened.readOnFull).toBe('acknowledged')
    expect([happened.smallOnFull, happened.leaseOnFull]).toEqual(['done', 'string'])
  })
  it('room again: it goes on by itself', () => {
    expect(happened.growWithRoom).toBe('done')
    expect(happened.seen).toEqual(['kept', 'big,kept'])
  })
  it('read-only: opening is refused as UND_STORE_READ_ONLY and nothing is touched', () => {
    for (const step of ['openReadOnly', 'openNewReadOnly']) {
      expect(happened[step], step).toMatchObject({ code: 'UND_STORE_READ_ONLY' })
    }
    expect(happened.untouched).toBe(true)
    expect(happened.openWritableAgain).toEqual(['big', 'kept', 'last'])
  })
})

describe('a file or folder that this user may not write', () => {
  it('is refused as UND_STORE_READ_ONLY until it may', async () => {
    const store = await open()
    await store.swap([], [{ key: 'kept', value: 1 }])
    await store.close()
    const before = readFileSync(path)
    const modes = { file: { [folder]: 0o777, [path]: 0o444 }, folder: { [folder]: 0o555, [path]: 0o666 } }
    for (const [what, mode] of Object.entries(modes)) {
      for (const [place, bits] of Object.entries(mode)) chmodSync(place, bits)
      const refused = openAsSomebodyElse()
      expect(refused, what).toMatchObject({ code: 'UND_STORE_READ_ONLY' })
      expect(refused.message).toMatch(/^\S*(the folder )?\/.* cannot be written by this user/)
    }
    expect(readFileSync(path).equals(before)).toBe(true)
    for (const [place, bits] of [
      [folder, 0o777],
      [path, 0o666],
      [`${path}-journal`, 0o666],
      [`${path}-leases`, 0o666],
    ] as const) {
      chmodSync(place, bits)
    }
    expect(openAsSomebodyElse()).toEqual({ code: 'opened' })
  })
})

/** Root may write everything, so then the attempt is made by a process that is not root. */
function openAsSomebodyElse(): { code: string; message?: string } {
  const dist = join(import.meta.dirname, '../../dist')
  const script = `
    const { openEmbeddedStore } = await import('${dist}/stores/embedded/open.js')
    const { systemClock: clock } = await import('${dist}/lib/clock.js')
    const answer = await openEmbeddedStore({ path: ${JSON.stringify(path)}, clock, random: Math.random })
      .then(() => ({ code: 'opened' }), ({ code, message }) => ({ code, message }))
    console.log(JSON.stringify(answer))`
  const as = process.getuid?.() === 0 ? ['setpriv', '--reuid=65534', '--clear-groups'] : ['env']
  const argv = [...as, process.execPath, '--input-type=module', '-e', script]
  return JSON.parse(execFileSync(argv[0] as string, argv.slice(1), { encoding: 'utf8' }))
}
