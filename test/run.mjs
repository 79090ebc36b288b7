/**
 * `npm test`: what must hold, in the order in which a fault is cheapest to find, in about ten minutes on two cores: build, lint,
 * types, unit tests (scenarios and simulated seeds among them) and the fast real tests, one real failover of each kind.
 * `npm test -- all`: the same with every real test. `npm test -- all --minutes 50`: stops beginning further files of real
 * tests after that time, and names those that it left out; what exercises changed code comes before the rest.
 * `npm test -- unit lint`: only the parts named.
 *
 * Output streams as it comes. A later part runs even when an earlier one failed, so that one run tells everything; only a
 * failed build stops the real tests, which start what was built. A file of real tests that fails is run once more, alone,
 * when all others are done. If it passes then, the run passes, and its last lines name it: a line with FLAKY is a bug with
 * priority. The last line counts every test: `N passed, N failed, N skipped`; a part that is one command counts as one test.
 */
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { planOf } from './run/real-files.mjs'
import { run, vitest } from './run/vitest.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const startedAt = Date.now()
const DAY_MS = 24 * 3_600_000
/** Files of real tests for each start of vitest: a start costs some seconds, and between two the time is looked at. */
const BATCH = 4

const parts = {
  build: () => command('typescript/bin/tsc', '-p', 'tsconfig.build.json'),
  lint: () => command('@biomejs/biome/bin/biome', 'check', '.'),
  types: () => command('typescript/bin/tsc', '-p', 'tsconfig.json'),
  unit: () => vitest(root, 'unit'),
  real: () => real(),
}

const { asked, minutes } = readArguments()
const isAll = asked.includes('all')
const named = asked.filter((name) => name !== 'all')
const wanted = new Set(named.length === 0 ? Object.keys(parts) : named)
// What the real tests start is what was built, so asking for them alone builds too.
if (wanted.has('real')) wanted.add('build')

const total = { passed: 0, failed: 0, skipped: 0 }
const lines = []
const remarks = []
let built = true
for (const [name, part] of Object.entries(parts)) {
  if (!wanted.has(name)) continue
  if (name === 'real' && !built) {
    lines.push('real    not run: the build failed')
    continue
  }
  console.log(`\n== ${name}`)
  const from = Date.now()
  const result = await part()
  if (name === 'build') built = result.failed === 0
  for (const key of Object.keys(total)) total[key] += result[key]
  const seconds = ((Date.now() - from) / 1000).toFixed(1)
  lines.push(`${name.padEnd(7)} ${result.failed === 0 ? 'ok' : 'FAILED'}  ${seconds} s`)
}
console.log(`\n${[...lines, ...remarks].join('\n')}`)
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`)
process.exitCode = total.failed === 0 ? 0 : 1

async function command(program, ...args) {
  const failed = (await run(root, process.execPath, [join(root, 'node_modules', program), ...args])) === 0 ? 0 : 1
  return { passed: 1 - failed, failed, skipped: 0 }
}

/** `npm test -- real`, without `all`, is every real test too: to name the part is to ask for the whole of it. */
async function real() {
  const { fast, changed, rest } = planOf({
    files: realFiles(),
    changed: changedFiles(),
    day: Math.floor(Date.now() / DAY_MS),
  })
  const files = isAll || named.includes('real') ? [...fast, ...changed, ...rest] : fast
  const sum = { passed: 0, failed: 0, skipped: 0 }
  const broken = []
  let done = 0
  for (; done < files.length && !isLate(); done += BATCH) {
    const result = await vitest(root, 'real', files.slice(done, done + BATCH))
    for (const key of Object.keys(sum)) sum[key] += result[key]
    broken.push(...result.broken)
  }
  const left = files.slice(done)
  if (left.length > 0) remarks.push(`left out after ${minutes} minutes: ${left.join(' ')}`)
  else if (files === fast)
    remarks.push(`real tests: the fast ones; npm test -- all runs ${changed.length + rest.length} more files`)
  for (const file of broken) await again(file, sum)
  return sum
}

/** A second failure stays a failure; a pass takes back what the first run counted. */
async function again(file, sum) {
  console.log(`\n== ${file.path} once more, alone`)
  const result = await vitest(root, 'real', [file.path])
  if (result.failed > 0) return
  sum.failed -= file.failed
  sum.passed += file.failed
  remarks.push(`FLAKY ${file.path} > ${file.test}: ${file.error}`)
}

function isLate() {
  return minutes !== null && Date.now() - startedAt > minutes * 60_000
}

function realFiles() {
  const entries = readdirSync(join(root, 'test/real'), { recursive: true }).filter((name) => name.endsWith('.test.ts'))
  return entries.map((name) => {
    const path = join('test/real', name)
    return { path, text: readFileSync(join(root, path), 'utf8') }
  })
}

/** Since the commit in `.ci/landed`, which is the last one that passed here whole; null when it is not in this clone. */
function changedFiles() {
  try {
    const since = readFileSync(join(root, '.ci/landed'), 'utf8').trim()
    const git = (...args) =>
      execFileSync('git', args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
    return git('diff', '--name-only', since).split('\n').filter(Boolean)
  } catch {
    return null
  }
}

function readArguments() {
  const options = { minutes: { type: 'string' } }
  const { values, positionals } = parseArgs({ options, allowPositionals: true })
  const unknown = positionals.filter((name) => name !== 'all' && !Object.hasOwn(parts, name))
  const limit = values.minutes === undefined ? null : Number(values.minutes)
  if (unknown.length > 0)
    refuse(`no such part: ${unknown.join(', ')}; there are: all, ${Object.keys(parts).join(', ')}`)
  if (limit !== null && !(limit > 0)) refuse(`--minutes takes a number above 0, not ${values.minutes}`)
  return { asked: positionals, minutes: limit }
}

function refuse(sentence) {
  console.error(sentence)
  process.exit(2)
}
