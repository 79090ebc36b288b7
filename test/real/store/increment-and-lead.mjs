// One of several processes that count in one key and take turns on one lease, until it is killed. Everything that
// it was told goes into a ledger of its own, synced to the disk before it goes on; the test reads the ledgers.
//
//   { what: 'intent' | 'done' | 'conflict' | 'not done' | 'unknown', n }    counting from n - 1 to n
//   { what: 'lead', term, from, until } / { what: 'renewed', term, until } / { what: 'leave', term, at }
//       between `from` and the last `until` (or `at`) of a term this process believed that it leads, by the clock
//   { what: 'intruder', term }    while it believed so, the store named another process
import { fsyncSync, openSync, writeSync } from 'node:fs'
import { systemClock as clock, sleep } from '../../../dist/lib/clock.js'
import { seededRandom } from '../../../dist/lib/random.js'
import { openEmbeddedStore } from '../../../dist/stores/embedded/open.js'

const [path, ledgerPath, seed] = process.argv.slice(2)
const random = seededRandom(Number(seed))
const ledger = openSync(ledgerPath, 'a')
const TTL_MS = 150

function note(line) {
  writeSync(ledger, `${JSON.stringify(line)}\n`)
  fsyncSync(ledger)
}

/** Tries until the store answers: away and full mean that nothing was done. */
async function answered(ask) {
  for (;;) {
    try {
      return await ask()
    } catch (error) {
      if (error.code !== 'UND_STORE_AWAY') throw error
      note({ what: 'away' })
    }
  }
}

async function count(store) {
  for (;;) {
    const entry = (await answered(() => store.read('count'))).entries.get('count')
    const n = (entry?.value ?? 0) + 1
    note({ what: 'intent', n })
    const answer = await store
      .swap([{ key: 'count', revision: entry?.revision ?? 0 }], [{ key: 'count', value: n }])
      .catch((error) => (error.code === 'UND_STORE_AWAY' ? 'not done' : 'unknown'))
    if (random() < 0.01) process.kill(process.pid, 'SIGKILL') // it may have happened, and was not acknowledged
    note({ what: answer, n })
    await sleep(clock, random() * 15)
  }
}

async function lead(store) {
  for (;;) {
    await sleep(clock, random() * 30)
    const { entries } = await answered(() => store.read(''))
    if (entries.has('lead')) continue
    const term = (entries.get('term')?.value ?? 0) + 1
    let until = clock.mono() + TTL_MS // counted from before the request
    const lease = await answered(() => store.acquire(TTL_MS))
    const won = await store
      .swap(
        [
          { key: 'lead', revision: 0 },
          { key: 'term', revision: entries.get('term')?.revision ?? 0 },
        ],
        [
          { key: 'lead', value: term, lease },
          { key: 'term', value: term },
        ],
      )
      .catch((error) => (error.code === 'UND_STORE_AWAY' ? 'not done' : 'unknown'))
    if (won !== 'done') continue
    note({ what: 'lead', term, from: clock.mono(), until })
    for (let turns = Math.floor(random() * 6); turns > 0 && clock.mono() < until; turns--) {
      await sleep(clock, random() * 60)
      const named = (await answered(() => store.read('lead'))).entries.get('lead')?.value
      if (clock.mono() < until && named !== term) note({ what: 'intruder', term, named })
      const renewed = clock.mono() + TTL_MS
      const lives = await store.renew(lease).then(
        () => true,
        () => false,
      )
      if (!lives) break
      until = renewed
      note({ what: 'renewed', term, until })
    }
    if (random() < 0.5) {
      note({ what: 'leave', term, at: clock.mono() })
      await store.release(lease).catch(() => {}) // away or unknown: then it ends by time
    }
  }
}

const store = await answered(() => openEmbeddedStore({ path, clock, random, waitMs: 600 }))
store.watch('', { changed() {}, away() {} })
await Promise.all([count(store), lead(store)])
