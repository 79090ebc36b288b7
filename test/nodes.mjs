/**
 * `npm test` under each line of Node.js that is supported. The programs are fetched from the registry into a folder that is removed at the
 * end. Ends with 1 when a test failed under one of them.
 *
 *   npm run test:nodes [-- 20 22 24] [--parts unit,real]
 *
 * `--parts` are those of `npm test`; default: what `npm test` runs. 20 is the oldest release that package.json allows, the others the newest.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { parseArgs } from 'node:util'

const PACKAGE = `node-linux-${process.arch}`
const root = join(import.meta.dirname, '..')
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const OLDEST = manifest.engines.node.replace('>=', '')

const { values, positionals } = parseArgs({ options: { parts: { type: 'string' } }, allowPositionals: true })
const lines = positionals.length > 0 ? positionals : ['20', '22', '24']
const parts = values.parts?.split(',') ?? []

const folder = mkdtempSync(join(tmpdir(), 'understudy-nodes-'))
process.once('SIGINT', () => process.exit(130))
process.once('SIGTERM', () => process.exit(143))
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))

const failed = lines.filter((line) => !passes(line))
console.log(
  failed.length === 0 ? `passed with Node.js ${lines.join(', ')}` : `FAILED with Node.js ${failed.join(', ')}`,
)
process.exitCode = failed.length === 0 ? 0 : 1

function passes(line) {
  const bin = fetch(line)
  // First in the path, because tests and services say `node`.
  const env = { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH}` }
  const said = execFileSync(join(bin, 'node'), ['--version'], { encoding: 'utf8' }).trim()
  console.log(`\nNode.js ${said}\n`)
  return spawnSync(join(bin, 'node'), [join(root, 'test/run.mjs'), ...parts], { env, stdio: 'inherit' }).status === 0
}

/** Returns the folder with the program of a line: `22` is its newest release, `22.12.0` that one. */
function fetch(line) {
  const wanted = OLDEST.startsWith(`${line}.`) ? `~${OLDEST}.0` : line
  const to = join(folder, line)
  const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--no-save', '--loglevel', 'error']
  execFileSync('npm', ['install', '--prefix', to, ...quiet, `${PACKAGE}@${wanted}`], { stdio: 'inherit' })
  return join(to, 'node_modules', PACKAGE, 'bin')
}
