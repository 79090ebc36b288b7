// Begins a change of the store and does not get to its end: `stop` stops this process by a signal while it holds the
// lock; `kill` kills it after the half of it is already in the file, and only the journal knows what was there before.
import { Connection } from '../../../dist/stores/embedded/connection.js'

const [path, how] = process.argv.slice(2)
const file = new Connection(path)
file.configure()
file.writing(() => {
  file.exec('PRAGMA cache_size = 1') // makes SQLite write changed pages to the file before the commit
  for (let n = 0; n < 200; n++) {
    file.run('INSERT INTO entry VALUES (?, ?, 999, NULL)', `half/${n}`, JSON.stringify('x'.repeat(4_000)))
  }
  file.run("UPDATE entry SET value = '\"half\"' WHERE key = 'kept'")
  file.run('UPDATE meta SET revision = 999')
  process.kill(process.pid, how === 'kill' ? 'SIGKILL' : 'SIGSTOP')
  return { answer: undefined, keep: true }
})
process.exit(0)
