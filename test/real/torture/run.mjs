/**
 * `npm run torture:postgres -- --faults 200 --seed 7 [--bin npm] [--only NAME] [--trace]`: the test of that name, with many faults.
 * `npm run torture:sessions` with the same options but the last two: the random faults on sessions.
 * `npm run torture:restarts -- --times 20 --seed 7`: web, worker and database of the shop restarted so often under load.
 * Exit code 1: something that was acknowledged is missing, two acknowledged at once, or the cluster did not become whole again.
 */
import { spawn } from 'node:child_process'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const { values } = parseArgs({
  options: {
    faults: { type: 'string', default: '200' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    bin: { type: 'string' },
    only: { type: 'string' },
    sessions: { type: 'boolean', default: false },
    restarts: { type: 'boolean', default: false },
    times: { type: 'string', default: '20' },
    trace: { type: 'boolean', default: false },
  },
})
const root = fileURLToPath(new URL('../../..', import.meta.url))
const env = { ...process.env, UNDERSTUDY_FAULTS: values.faults, UNDERSTUDY_SEED: values.seed }
if (values.bin) env.UNDERSTUDY_BIN = values.bin
if (values.only) env.UNDERSTUDY_ONLY = values.only
if (values.trace) env.UNDERSTUDY_TRACE = '1'
if (values.restarts) env.UNDERSTUDY_RESTARTS = values.times
const file = values.restarts
  ? 'test/real/rolling-restart.test.ts'
  : values.sessions
    ? 'test/real/postgres-session-states.test.ts'
    : 'test/real/postgres-torture.test.ts'
const args = [
  'vitest',
  'run',
  '--project',
  'real',
  file,
  '--disableConsoleIntercept',
  ...(values.sessions ? ['-t', 'random'] : []),
]
const child = spawn('npx', args, { cwd: root, env, stdio: 'inherit' })
child.once('exit', (code) => {
  process.exitCode = code ?? 1
})
