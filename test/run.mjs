/**
 * `npm test`: everything that must hold, in the order in which a fault is cheapest to find. Output streams as it comes.
 * The last line counts every test of every part, whatever happened: `N passed, N failed, N skipped`. A part that is one
 * command (build, lint, types) counts as one test.
 *
 * `npm test -- unit lint` runs only the parts named. Later parts run even when an earlier one failed, so that one run
 * tells everything; only a failed build stops the real tests, which start what was built.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const bin = (name) => join(root, 'node_modules', '.bin', name)

const parts = {
  build: () => command(bin('tsc'), ['-p', 'tsconfig.build.json']),
  lint: () => command(bin('biome'), ['check', '.']),
  types: () => command(bin('tsc'), ['-p', 'tsconfig.json']),
  unit: () => vitest('unit'),
  real: () => vitest('real'),
}

/** Runs a command in the repository; resolves to its exit code (128 when a signal ended it or it never started). */
function run(file, args) {
  return new Promise((resolve) => {
    const child = spawn(file, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] })
    child.on('error', (error) => {
      console.error(`${file} could not be started: ${error.message}`)
      resolve(128)
    })
    child.on('close', (code) => resolve(code ?? 128))
  })
}

async function command(file, args) {
  const failed = (await run(file, args)) === 0 ? 0 : 1
  return { passed: 1 - failed, failed, skipped: 0 }
}

async function vitest(project) {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-test-'))
  try {
    const report = join(folder, 'report.json')
    // The default reporter is named because vitest picks another one when it thinks that nobody watches.
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
    const code = await run(bin('vitest'), ['run', '--project', project, '--passWithNoTests', ...reporters])
    return counts(report, code)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** A file that does not load is a failure, and so is a run that failed for no reason that it reports. */
function counts(report, code) {
  let json
  try {
    json = JSON.parse(readFileSync(report, 'utf8'))
  } catch {
    return { passed: 0, failed: code === 0 ? 0 : 1, skipped: 0 } // no report: nothing ran, or vitest itself ended early
  }
  const unloadable = json.testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0)
  const failed = json.numFailedTests + unloadable.length
  return {
    passed: json.numPassedTests,
    failed: failed === 0 && code !== 0 ? 1 : failed,
    skipped: json.numPendingTests + json.numTodoTests,
  }
}

const asked = process.argv.slice(2)
const unknown = asked.filter((name) => !Object.hasOwn(parts, name))
if (unknown.length > 0) {
  console.error(`no such part: ${unknown.join(', ')}; there are: ${Object.keys(parts).join(', ')}`)
  process.exit(2)
}
// What the real tests start is what was built, so asking for them alone builds too.
const wanted = new Set(asked.length === 0 ? Object.keys(parts) : asked)
if (wanted.has('real')) wanted.add('build')

const total = { passed: 0, failed: 0, skipped: 0 }
const lines = []
let built = true
for (const [name, part] of Object.entries(parts)) {
  if (!wanted.has(name)) continue
  if (name === 'real' && !built) {
    lines.push('real    not run: the build failed')
    continue
  }
  console.log(`\n== ${name}`)
  const startedAt = Date.now()
  const result = await part()
  if (name === 'build') built = result.failed === 0
  for (const key of Object.keys(total)) total[key] += result[key]
  const seconds = ((Date.now() - startedAt) / 1000).toFixed(1)
  lines.push(`${name.padEnd(7)} ${result.failed === 0 ? 'ok' : 'FAILED'}  ${seconds} s`)
}
console.log(`\n${lines.join('\n')}`)
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`)
process.exitCode = total.failed === 0 ? 0 : 1
