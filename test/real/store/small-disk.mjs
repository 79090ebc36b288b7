// A store on a disk of 256 KiB that is filled, emptied, made read-only and writable again. Runs in a mount namespace of
// its own (see store-disk.test.ts), so that nothing stays mounted. Prints what happened at each step as JSON.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '../../../dist/lib/clock.js'
import { openEmbeddedStore } from '../../../dist/stores/embedded/open.js'

const disk = process.argv[2]
mkdirSync(disk, { recursive: true })
execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', disk])
const path = join(disk, 'store.db')
const open = (at = path) => openEmbeddedStore({ path: at, clock: systemClock, random: Math.random, waitMs: 300 })
const happened = {}
const step = async (name, what) => {
  happened[name] = await what().then(
    (answer) => answer ?? 'done',
    (error) => ({ code: error.code ?? error.name, message: error.message }),
  )
}
const fill = () => {
  for (let size = 64 * 1024; size >= 1; size = Math.floor(size / 2)) {
    for (let n = 0; ; n++) {
      try {
        writeFileSync(join(disk, `filler-${size}-${n}`), Buffer.alloc(size, 1))
      } catch {
        break // no room for this size: on with smaller ones
      }
    }
  }
}
const empty = () => execFileSync('sh', ['-c', `rm -f ${disk}/filler-*`])
const big = 'x'.repeat(20_000)

fill()
await step('openNewOnFull', () => open(join(disk, 'new.db')))
empty()
rmSync(join(disk, 'new.db'), { force: true })
const store = await open()
const seen = []
store.watch('', {
  changed: ({ entries }) => seen.push([...entries.keys()].join()),
  away: (error) => seen.push(error.code),
})
await store.swap([], [{ key: 'kept', value: 'acknowledged' }])
fill()
await step('growOnFull', () =>
  store.swap(
    [],
    [
      { key: 'kept', value: 'lost' },
      { key: 'big', value: big },
    ],
  ),
)
await step('growAgainOnFull', () => store.swap([], [{ key: 'big', value: big }]))
await step('readOnFull', async () => (await store.read('')).entries.get('kept').value)
await step('smallOnFull', () => store.swap([], [{ key: 'kept', value: 'acknowledged' }]))
await step('leaseOnFull', async () => typeof (await store.acquire(1000)))
await new Promise((done) => setTimeout(done, 200)) // lets the watcher look
empty()
await step('growWithRoom', () => store.swap([], [{ key: 'big', value: big }]))

// A disk cannot be made read-only under a file that is open for writing, and the library closes it with its garbage.
await new Promise((done) => setTimeout(done, 200))
await store.close()
await new Promise(setImmediate)
globalThis.gc()
await new Promise(setImmediate)
const before = readFileSync(path)
execFileSync('mount', ['-o', 'remount,ro', disk])
await step('openReadOnly', () => open())
await step('openNewReadOnly', () => open(join(disk, 'other.db')))
happened.untouched = readFileSync(path).equals(before) && !existsSync(join(disk, 'other.db'))
execFileSync('mount', ['-o', 'remount,rw', disk])
await step('openWritableAgain', async () => {
  const again = await open()
  await again.swap([], [{ key: 'last', value: 1 }])
  return [...(await again.read('')).entries.keys()]
})
happened.seen = seen
console.log(JSON.stringify(happened, null, 1))
process.exit(0)
