/** Vitest as a child process, and what its report says. */
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import process from 'node:process'

const NOTHING = { passed: 0, failed: 0, skipped: 0, broken: [] }

/** Runs a command in `root`; resolves to its exit code (128 when a signal ended it or it never started). */
export function run(root, file, args) {
  return new Promise((resolve) => {
    const child = spawn(file, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] })
    child.on('error', (error) => {
      console.error(`${file} could not be started: ${error.message}`)
      resolve(128)
    })
    child.on('close', (code) => resolve(code ?? 128))
  })
}

/**
 * Runs a project of vitest.config.ts, whole or some files of it. Resolves to the counts and `broken`: each file in which something failed,
 * with its own counts and its first failed test.
 */
export async function vitest(root, project, files = []) {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-test-'))
  try {
    const report = join(folder, 'report.json')
    // The default reporter is named because vitest picks another one where there is no terminal.
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
    const args = [join(root, 'node_modules/vitest/vitest.mjs'), 'run', '--project', project, '--passWithNoTests']
    const code = await run(root, process.execPath, [...args, ...reporters, ...files])
    return resultOf(read(report), code, root)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function read(report) {
  try {
    return JSON.parse(readFileSync(report, 'utf8'))
  } catch {
    return null // no report: nothing ran, or vitest itself ended early
  }
}

/** A file that does not load is a failure, and so is a run that failed for no reason that it reports. */
export function resultOf(json, code, root) {
  if (json === null) return code === 0 ? NOTHING : { ...NOTHING, failed: 1 }
  const broken = json.testResults.filter((file) => file.status === 'failed').map((file) => brokenOf(file, root))
  const failed = broken.reduce((sum, file) => sum + file.failed, 0)
  return {
    passed: json.numPassedTests,
    failed: failed === 0 && code !== 0 ? 1 : failed,
    skipped: json.numPendingTests + json.numTodoTests,
    broken,
  }
}

function brokenOf(file, root) {
  const failed = file.assertionResults.filter(({ status }) => status === 'failed')
  const [first] = failed
  const error = first ? (first.failureMessages[0] ?? 'failed') : (file.message ?? 'did not load')
  return {
    path: relative(root, file.name),
    failed: Math.max(1, failed.length),
    test: first?.fullName ?? 'the file itself',
    error: error.split('\n')[0].trim(),
  }
}
