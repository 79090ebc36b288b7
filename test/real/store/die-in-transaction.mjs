// Begins a change of the store and does not get to its end: `stop` stops this process by a signal while it holds the
// lock; `kill` kills it after the half of it is already in the file, and only the journal knows what was there before.
import { systemClock as clock } from '../../../dist/lib/clock.js'
import { whenFree } from '../../../dist/stores/embedded/busy.js'
import { Connection } from '../../../dist/stores/embedded/sqlite-connection.js'

const [path, how] = process.argv.slice(2)
const file = new Connection(path)
const patience = { clock, random: Math.random, limitMs: 8_000 }
const givenUp = () => new Error(`${path} was busy for ${patience.limitMs} ms`)
// The test looks at the file as well, and a process that finds its lock held comes again: as every process of the product does.
await whenFree(patience, () => file.configure(), givenUp)
await whenFree(patience, () => file.writing(change), givenUp)
process.exit(0)

function change() {
  file.exec('PRAGMA cache_size = 1') // makes SQLite write changed pages to the file before the commit
  for (let n = 0; n < 200; n++) {
    file.run('INSERT INTO entry VALUES (?, ?, 999, NULL)', `half/${n}`, JSON.stringify('x'.repeat(4_000)))
  }
  file.run("UPDATE entry SET value = '\"half\"' WHERE key = 'kept'")
  file.run('UPDATE meta SET revision = 999')
  process.kill(process.pid, how === 'kill' ? 'SIGKILL' : 'SIGSTOP')
  return { answer: undefined, keep: true }
}
