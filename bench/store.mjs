// What the embedded store costs. `npm run -s build && node bench/store.mjs [folder]`, about 40 s; the folder decides which
// disk is measured (default: the system's folder for temporary files). docs/store.md explains the figures.
import { fork } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { systemClock as clock } from '../dist/lib/clock.js'
import { openEmbeddedStore } from '../dist/stores/embedded/open.js'

const PROCESSES = 3
const PER_SECOND = 100
const SECONDS = 10
const IDLE_SECONDS = 20

/** Some dozens of small keys, as a cluster of three nodes has. */
async function fill(store) {
  const records = Array.from({ length: 30 }, (_, n) => ({ key: `service/${n}`, value: { term: n, primary: 'a' } }))
  await store.swap([], records)
}

/** One process: swaps at a steady rate, renews a lease, watches everything; measures until it is told to stop. */
async function busy(path) {
  const store = await openEmbeddedStore({ path, clock, random: Math.random })
  const mine = `busy/${process.pid}`
  const [swaps, noticed] = [[], []]
  let away = 0
  store.watch('busy/', {
    changed({ entries }) {
      const now = clock.mono()
      for (const [key, { value }] of entries) {
        if (key !== mine && value.at > (seen.get(key) ?? 0)) noticed.push(now - value.at)
        seen.set(key, value.at)
      }
    },
    away: () => away++,
  })
  const seen = new Map()
  const lease = await store.acquire(60_000)
  await pause(200)
  const stall = watchEventLoop()
  const startedAt = clock.mono()
  let due = startedAt
  for (let n = 0; clock.mono() < startedAt + SECONDS * 1_000; n++) {
    due += (1_000 / PER_SECOND) * (0.5 + Math.random())
    await pause(Math.max(0, due - clock.mono()))
    const askedAt = clock.mono()
    try {
      if (n % 10 === 0) await store.renew(lease)
      else await store.swap([], [{ key: mine, value: { n, at: askedAt } }])
      swaps.push(clock.mono() - askedAt)
    } catch {
      away++
    }
  }
  const { user, system } = process.cpuUsage()
  process.send({ swaps, noticed, away, stall: stall(), cpu: (user + system) / 1e6 }, () => process.exit(0))
}

/** One process with three watchers and nothing to do. */
async function idle(path) {
  const store = await openEmbeddedStore({ path, clock, random: Math.random })
  for (const prefix of ['', 'service/', 'node/']) store.watch(prefix, { changed() {}, away() {} })
  await pause(1_000)
  const before = process.cpuUsage()
  await pause(IDLE_SECONDS * 1_000)
  const { user, system } = process.cpuUsage(before)
  process.send({ core: (user + system) / 1e6 / IDLE_SECONDS, rss: process.memoryUsage().rss }, () => process.exit(0))
}

function watchEventLoop() {
  const gaps = []
  let last = clock.mono()
  const timer = setInterval(() => {
    const now = clock.mono()
    gaps.push(now - last)
    last = now
  }, 1)
  return () => {
    clearInterval(timer)
    return gaps
  }
}

function child(role, path) {
  return new Promise((resolve, reject) => {
    const process = fork(import.meta.filename, [role, path])
    process.once('message', resolve)
    process.once('exit', (code) => code && reject(new Error(`${role} ended with ${code}`)))
  })
}

function spread(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b)
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]?.toFixed(1)
  return `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, worst ${at(1)} ms (${sorted.length})`
}

async function main(folder) {
  const place = mkdtempSync(join(folder, 'understudy-bench-'))
  try {
    const path = join(place, 'store.db')
    const store = await openEmbeddedStore({ path, clock, random: Math.random })
    await fill(store)
    const runs = await Promise.all(Array.from({ length: PROCESSES }, () => child('busy', path)))
    const all = (what) => spread(runs.flatMap((run) => run[what]))
    console.log(
      `${PROCESSES} processes, ${PER_SECOND} changes per second each, ${SECONDS} s, every process watches all`,
    )
    console.log(`  a change, asked until answered    ${all('swaps')}`)
    console.log(`  told of another process's change  ${all('noticed')}`)
    console.log(`  event loop, gap between turns     ${all('stall')}`)
    console.log(`  away ${runs.reduce((sum, run) => sum + run.away, 0)}`)
    const { core, rss } = await child('idle', path)
    console.log(
      `idle process with 3 watchers, ${IDLE_SECONDS} s: ${(core * 100).toFixed(2)} % of a core, ${(rss / 2 ** 20).toFixed(0)} MiB`,
    )
    await store.close()
  } finally {
    rmSync(place, { recursive: true, force: true })
  }
}

const [role, path] = process.argv.slice(2)
if (role === 'busy') await busy(path)
else if (role === 'idle') await idle(path)
else await main(role ?? tmpdir())
