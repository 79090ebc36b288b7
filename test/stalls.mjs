/**
 * The real tests with every Node process of theirs stopped at random for a moment: agents, doors, fences, clients and the
 * tests themselves. A busy machine does this rarely and to all at once; here it is often and to each alone, so that what
 * holds only because one is usually faster than another is found. Bounds on time may fail then and prove nothing: look at
 * what failed.
 *
 *   npm run test:stalls [-- --most 200 --every 300] [planned bad-input …]
 *
 * `--most`: the longest stop, in ms; `--every`: the longest time between two. Files are named by parts of their names.
 */
import { spawn } from 'node:child_process'
import { parseArgs } from 'node:util'

const { values, positionals } = parseArgs({
  options: { most: { type: 'string', default: '200' }, every: { type: 'string', default: '300' } },
  allowPositionals: true,
})
const stalling = new URL('support/stalling.mjs', import.meta.url).href
const env = {
  ...process.env,
  NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ''} --import=${stalling}`.trim(),
  UNDERSTUDY_STALL_MOST_MS: values.most,
  UNDERSTUDY_STALL_EVERY_MS: values.every,
}
const files = positionals.map((name) => `test/real/${name}`)
const child = spawn('npx', ['vitest', 'run', '--project', 'real', ...files], { env, stdio: 'inherit' })
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal))
child.once('exit', (code) => {
  process.exitCode = code ?? 1
})
